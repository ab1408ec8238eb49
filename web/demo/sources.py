"""The doors of the demo shop: its forms and flyers, to which the answers and scans of the history belong."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from engine.sources import flyers, forms
from web.demo.stories import SITE

FOUND_US: Final = ("a friend", "search", "the shop window", "a flyer", "social media")

_PANEL: Final[list[dict[str, Any]]] = [
    {"label": "How likely is it that you recommend us, from 0 to 10?", "type": "number", "name": "score"},
    {"label": "How did you find us?", "type": "one", "options": list(FOUND_US), "name": "found_us"},
    {"label": "E-mail, if we may come back to you", "type": "email", "target": "email"},
]
_NEWS: Final[list[dict[str, Any]]] = [
    {"label": "E-mail", "type": "email", "target": "email", "required": True},
    {"label": "First name", "type": "text", "target": "first_name"},
    {"label": "What do you like to make?", "type": "several", "name": "makes", "target": "attributes.makes",
     "options": ["Bread", "Cakes", "Preserves", "Dinner for many"]},
]  # fmt: skip

# key, name, origin, whether it is closed, title, introduction, questions, wording of the consent to e-mail
FORMS: Final[tuple[tuple[str, str, str, bool, str, str, list[dict[str, Any]], str], ...]] = (
    ("autumn", "Autumn panel", "survey", True, "How are we doing?", "Three questions, one minute.", _PANEL, ""),
    ("spring", "Spring panel", "survey", True, "How are we doing?", "Three questions, one minute.", _PANEL, ""),
    ("order", "After the order", "survey", False, "How was your order?", "Three questions, one minute.", _PANEL, ""),
    ("news", "Kitchen letter", "web", False, "The kitchen letter",
     "Once a month: what is in season, what is new in the shop, and one recipe.", _NEWS,
     "Yes, write to me once a month by e-mail. A link in every letter stops it."),
)  # fmt: skip

FLYERS: Final = (  # code, name
    ("YORK", "York market"),
    ("HARBOUR", "Bristol harbour"),
    ("BREAD", "The bread leaflet"),
    ("STUDENT", "Students' week"),
)


def make(session: Session, now: datetime) -> None:
    """Forms under keys that people can read, and flyers."""
    for key, name, origin, closed, title, intro, questions, consent in FORMS:
        given = {"title": title, "intro": intro, "questions": questions, "consents": {"email": consent}}
        form = forms.save(session, None, name, origin, given, now=now)
        form.key, form.closed_at = key, now if closed else None
    for code, name in FLYERS:
        flyers.make(session, name, f"{SITE}/new", code, now=now)
