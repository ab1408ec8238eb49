"""What a template may know: plain texts and numbers about the contact, the shop and the campaign."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from engine import money
from engine.config import Config
from engine.models import Contact

PLAIN: Final = (
    *("key", "email", "phone", "first_name", "last_name", "name", "education", "household_size", "country", "region"),
    *("city", "postcode", "language", "origin", "attributes"),
)


def of_contact(contact: Contact, now: datetime) -> dict[str, Any]:
    """A contact as a template sees it; `age` from the date of birth when that is known."""
    born = contact.birth_date
    day = now.date()
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day)) if born else contact.age
    return {name: getattr(contact, name) for name in PLAIN} | {
        "age": age,
        "birth_date": born.isoformat() if born else None,
        "income": None if contact.income is None else float(money.to_decimal(contact.income)),
    }


def of_shop(config: Config) -> dict[str, str]:
    """The shop as a template sees it."""
    return {"name": config.mail.from_name, "address": config.mail.postal_address}
