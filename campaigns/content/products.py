"""Product blocks: what the recommender offers to each recipient, asked for a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from babel.numbers import format_currency
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import offered
from engine import money
from engine.models import Item
from recommender.answers import Answer, Recommended

PLACEMENT: Final = "email"
KEPT: Final = "kept"  # stands where a source would


class Recommends(Protocol):
    """What is needed of recommender.Recommender."""

    def recommend_many(
        self,
        session: Session,
        placement: str,
        contact_ids: Sequence[int],
        n: int,
        *,
        now: datetime,
        shown: Callable[[Session, Sequence[int], int], Mapping[int, Sequence[int]]] | None = None,
    ) -> Mapping[int, Any]:
        """An answer for each contact; `shown` tells what stood in the last mails of some."""


def offers(
    session: Session,
    recommender: Recommends | None,
    blocks: Sequence[tuple[str, int]],
    contact_ids: Sequence[int],
    *,
    now: datetime,
) -> Mapping[int, Any]:
    """The recommender's answer for each contact, enough items for all product blocks of the mail together."""
    if not blocks or recommender is None or not contact_ids:
        return {}
    most = sum(n for _, n in blocks)
    return recommender.recommend_many(session, PLACEMENT, contact_ids, most, now=now, shown=offered.last)


def again(session: Session, answers: Mapping[int, Any], contacts: Mapping[int, int]) -> dict[int, Any]:
    """The answers by send, from those by contact: a send whose items were noted before shows the same ones, whatever
    the recommender says by now. contacts: of each send whose it is.
    """
    told = {send_id: answers.get(contact_id) for send_id, contact_id in contacts.items()}
    kept = offered.kept(session, list(contacts))
    wanted = {item for one in kept.values() for item in one.items}
    query = select(*(getattr(Item, name) for name in ("id", *Recommended._fields[1:9]))).where(Item.id.in_(wanted))
    shop = {row.id: row for row in session.execute(query)} if wanted else {}
    return told | {send_id: _kept(told[send_id], one, shop) for send_id, one in kept.items()}


def _kept(answer: Any | None, noted: offered.Kept, shop: Mapping[int, Any]) -> Answer:
    """The noted items as the shop has them now; with their reasons, where they would be recommended still."""
    still = {item.item_id: item for item in answer.items} if answer else {}
    items = [
        still.get(item) or Recommended._make((*shop[item], 0.0, rank, KEPT, None, None))
        for rank, item in enumerate(noted.items, 1)
        if item in shop
    ]
    answer = answer or Answer("", PLACEMENT, None, degraded=False, items=(), missing_ids=())
    number = noted.recommendation_id or answer.recommendation_id
    return answer._replace(items=tuple(items), recommendation_id=number, variant=noted.recommendation_id and KEPT)


def fill(
    answer: Any | None, blocks: Sequence[tuple[str, int]], *, language: str, link: Callable[[Any], str]
) -> dict[str, list[dict[str, str | None]]]:
    """Liquid variables of the product blocks: each block its share of the items, none twice. A block for which
    nothing is left stays empty and is left out of the mail.
    """
    items = leading(answer)
    filled: dict[str, list[dict[str, str | None]]] = {}
    start = 0
    for variable, n in blocks:
        filled[variable] = [_shown(item, language, link(item)) for item in items[start : start + n]]
        start += n
    return filled


def leading(answer: Any | None) -> list[Any]:
    """The items that a reader can follow, in their order."""
    return [item for item in answer.items if item.url] if answer else []


def compared(answer: Any | None) -> str | None:
    """The id of the recommendation, if the answer is a variant of a comparison."""
    return answer.recommendation_id if answer and getattr(answer, "variant", None) else None


def _shown(item: Any, language: str, url: str) -> dict[str, str | None]:
    picture = item.image_url or ""
    return {
        "title": item.title or item.key,
        "url": url,
        "image_url": picture if urlsplit(picture).scheme in ("http", "https") else None,  # in Liquid "" is true
        "price": "" if item.price is None else price(item.price, item.currency, language),
        "reason": item.reason.text if item.reason else "",
    }


def price(amount: int, currency: str, language: str) -> str:
    """An amount as people read it: £12.99."""
    return format_currency(money.to_decimal(amount), currency, locale=language)
