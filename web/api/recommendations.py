"""What to offer a contact or visitor at a placement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from apiflask import APIBlueprint, Schema
from apiflask.fields import Boolean, Float, Integer, List, Nested, String
from apiflask.schema_adapters.marshmallow import parser
from apiflask.validators import Length, OneOf, Range
from flask import Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from campaigns import offered
from engine.errors import Invalid
from engine.models import Contact
from engine.prepared import Prepared
from recommender import business
from recommender.answers import MOST, Request
from recommender.business import RULES, Filter
from web.api import browsers
from web.api.access import needs
from web.api.body import Truth
from web.api.placements import Number, field_of
from web.recommendations import TOLD, as_json
from web.services import services, utcnow

blueprint = APIBlueprint("recommendations", __name__, tag="Recommendations")

MOST_REQUESTS = 50
FILTERS: Final = {name: RULES[name] for name in Filter._fields if name != "suppressed"}
_PEOPLE = Contact.__table__.c
_CONTACT: Final = Prepared(
    select(func.coalesce(_PEOPLE.merged_into, _PEOPLE.id)).where(_PEOPLE.key == bindparam("key"))
)


def _keys(description: str) -> List[str]:
    return List(
        String(validate=Length(1, 128)),
        load_default=list,
        validate=Length(max=MOST),
        metadata={"description": f"{description}; at most {MOST}, the newest last."},
    )


class ContextIn(Schema):
    """What the visitor has to do with now: keys of items."""

    items = _keys("Items on the page")
    cart = _keys("Items in the cart")
    session = _keys("Items looked at in this visit")


FilterIn = Schema.from_dict({name: field_of(about) for name, about in FILTERS.items()}, name="Filter")


class BoostIn(Schema):
    """What is put forward, in place of what the placement says."""

    margin = field_of(RULES["boost_margin"])
    freshness = field_of(RULES["boost_freshness"])


class ExcludeIn(Schema):
    """What is not offered, in place of what the placement says; the items of the page never are."""

    items = _keys("Items never to offer here")
    purchased = field_of(RULES["exclude_purchased"])
    viewed = field_of(RULES["exclude_viewed"])
    cart = field_of(RULES["exclude_cart"])


class QuestionIn(Schema):
    """One question. A contact or visitor nobody knows is answered like a stranger."""

    placement = String(required=True, validate=Length(1, 64), metadata={"example": "item"})
    contact = String(validate=Length(1, 128), metadata={"description": "The contact's key."})
    visitor = String(validate=Length(1, 64))
    signature = String(
        validate=Length(1, 128),
        metadata={"description": "With a key of web pages: HMAC-SHA-256 of `customer:<contact>` by the shop's server."},
    )
    context = Nested(ContextIn, load_default=dict)
    n = Integer(load_default=10, validate=Range(1, MOST), strict=True)
    filter = Nested(FilterIn, load_default=dict, metadata={"description": "Narrows what the placement may show."})
    boost = Nested(BoostIn, load_default=dict)
    exclude = Nested(ExcludeIn, load_default=dict)  # type: ignore[assignment]  # a field, not marshmallow's own
    diversity = Number(validate=Range(0, 1), metadata={"description": RULES["diversity"].help})
    fields = List(  # type: ignore[assignment]  # the same
        String(validate=OneOf(TOLD)),
        metadata={"description": "What is told of an item beside id, score, rank, source and reason; default: all."},
    )
    strict = Truth(
        load_default=False,
        metadata={
            "description": "true: no best-sellers or news where the other sources know nothing, so perhaps fewer."
        },
    )
    explain = Truth(load_default=True)


class RecommendationsIn(QuestionIn):
    """One question, or several complete ones under `requests`."""

    placement = String(validate=Length(1, 64), metadata={"example": "item"})
    requests = List(Nested(QuestionIn), validate=Length(1, MOST_REQUESTS))
    distinct = Truth(
        load_default=False, metadata={"description": "true: an item stands in one answer only, the first that has it."}
    )


class ReasonOut(Schema):
    """Why an item is offered."""

    kind = String()
    text = String(metadata={"example": "42 of 310 buyers of Teapot also bought it"})
    because = List(String(), metadata={"description": "Titles of what led to it."})
    support = Integer(
        metadata={"description": "Buyers of these and the item; buy_again, next_purchase: times the contact bought it."}
    )
    n = Integer(metadata={"description": "Buyers of these; trending, popular, popular_in_category: buyers lately."})
    confidence = Float(metadata={"description": "support / n."})
    lift = Float(metadata={"description": "How many times more often than by chance."})
    days = Integer(metadata={"description": "Days after which it is usually bought again."})
    between = List(Integer(), metadata={"description": "Half of all gaps lie between these days.", "example": [24, 41]})
    gaps = Integer(metadata={"description": "Gaps between two purchases that tell so."})
    due = String(metadata={"description": "Day on which it is usually bought again.", "example": "2026-12-03"})


class InSetOut(Schema):
    """The bundle in which an item is offered."""

    key = String()
    name = String()
    price = String(metadata={"description": "Of the whole set.", "example": "19.90"})
    saves = String(metadata={"description": "Less than its items cost one by one.", "example": "4.10"})


class RecommendedOut(Schema):
    """An item offered."""

    id = String(metadata={"description": "The item's key."})
    score = Float(metadata={"description": "Not told to a key of web pages."})
    rank = Integer()
    source = String(metadata={"description": "What found it; `pin`: a rule put it there."})
    title = String(allow_none=True)
    price = String(allow_none=True, metadata={"example": "12.99"})
    currency = String()
    url = String(allow_none=True)
    image_url = String(allow_none=True)
    category = String(allow_none=True)
    brand = String(allow_none=True)
    bundle = Nested(InSetOut, metadata={"description": "Only of what completes a set; all its items stand in the row."})
    reason = Nested(ReasonOut)


class AnswerOut(Schema):
    """One answer. Send impressions and clicks back as events of type `impression` and `recommendation_click` with
    properties.recommendation_id, placement and source.
    """

    recommendation_id = String()
    placement = String()
    variant = String(
        allow_none=True,
        metadata={
            "enum": ["a", "b", "holdout"],
            "description": "The arm of the comparison that runs at the placement; null: none runs, or nobody is named.",
        },
    )
    source = String(allow_none=True, metadata={"description": "The source that found most of the items."})
    training = Integer(allow_none=True, metadata={"description": "The training that answered."})
    degraded = Boolean(metadata={"description": "true: no training serves yet; these are best-sellers."})
    took_ms = Float()
    items = List(Nested(RecommendedOut))
    missing_ids = List(String(), metadata={"description": "Keys of items, and the contact, that nobody knows."})


class AnswersOut(AnswerOut):
    """One answer, or `answers` in the order of `requests`."""

    answers = List(Nested(AnswerOut))


@blueprint.post("/recommendations")
@needs("recommendations:read", 429, browser=True)
@blueprint.input(RecommendationsIn, validation=False)  # `_read` does: it costs marshmallow as much as all the rest
@blueprint.output(AnswersOut)
def recommend(json_data: Any) -> ResponseReturnValue:
    """Ask what to offer"""
    asked = json_data if _is_plain(json_data) else parser.parse(RecommendationsIn(), request, location="json")
    questions = asked.get("requests")
    if (questions is None) == ("placement" not in asked):
        raise Invalid("Name a placement, or give a list of requests.", field="placement")
    if browsers.is_public():
        if questions is None:
            asked = browsers.modest(asked, "")
        else:
            questions = browsers.all_modest(questions)
    with services().database.read() as session:
        if questions is None:
            told, _ = _answer(session, asked, "")
        else:
            answers = _answers(session, questions, distinct=asked.get("distinct", False))
            told = f'{{"answers": [{", ".join(answers)}]}}'
    return Response(told, mimetype="application/json")


def _answers(session: Session, questions: Sequence[Mapping[str, Any]], *, distinct: bool) -> Iterator[str]:
    """Each as JSON; distinct: without what those before it show."""
    before: list[str] = []
    for place, one in enumerate(questions):
        told, keys = _answer(session, one, f"requests.{place}.", before if distinct else ())
        before += keys
        yield told


def _is_text(longest: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is str and 1 <= len(value) <= longest


def _is_list(value: Any) -> bool:
    return (
        type(value) is list and len(value) <= MOST and all(type(one) is str and 1 <= len(one) <= 128 for one in value)
    )


_SAID: Final = frozenset(("explain", "strict", "figures", "personal"))  # as Request has them
_LISTS: Final = frozenset(("items", "cart", "session"))
_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "placement": _is_text(64),
    "contact": _is_text(128),
    "visitor": _is_text(64),
    "signature": _is_text(128),
    "context": lambda value: type(value) is dict and value.keys() <= _LISTS and all(map(_is_list, value.values())),
    "n": lambda value: type(value) is int and 1 <= value <= MOST,
    "explain": lambda value: type(value) is bool,
    "strict": lambda value: type(value) is bool,
}


def _is_plain(given: Any) -> bool:
    """A body that the schema would take as it is: what storefronts ask a thousand times a second. All others, right or
    wrong, are the schema's.
    """
    return type(given) is dict and all(name in _PLAIN and _PLAIN[name](value) for name, value in given.items())


def _answer(session: Session, asked: Mapping[str, Any], path: str, before: Sequence[str] = ()) -> tuple[str, list[str]]:
    """As JSON, and the keys of its items; without those of `before`."""
    begun = time.perf_counter()
    contact = asked.get("contact")
    [(contact_id,)] = (contact and _CONTACT.rows(services().database, key=contact)) or [(None,)]
    excluded, told = asked.get("exclude", {}), {name: asked[name] for name in _SAID & asked.keys()}
    if contact and contact_id is None:  # whoever the visitor belongs to is somebody else
        told["personal"] = False
    try:
        question = Request(
            asked["placement"],
            contact_id,
            asked.get("visitor"),
            **asked.get("context", {}),
            n=asked.get("n", 10),
            exclude=excluded.get("items", ()),
            before=before,
            filter=Filter(**business.read(asked.get("filter", {}), FILTERS, "filter")),
            rules=_rules(asked, excluded),
            **told,
        )
        answer = services().recommender.recommend(session, question, now=utcnow(), shown=offered.last)
    except Invalid as error:
        raise Invalid(error.message, field=f"{path}{error.field}") from None
    missing = [*answer.missing_ids, *([contact] if contact and not contact_id else [])]
    took = round((time.perf_counter() - begun) * 1000, 2)
    text = as_json(answer, tuple(asked.get("fields", TOLD)), {"missing_ids": missing, "took_ms": took})
    return text, [item.key for item in answer.items]


def _rules(asked: Mapping[str, Any], excluded: Mapping[str, Any]) -> dict[str, Any]:
    """The rules that the question gives in place of the placement's."""
    rules = {f"exclude_{name}": value for name, value in excluded.items() if name != "items"}
    rules |= {f"boost_{name}": value for name, value in asked.get("boost", {}).items()}
    return rules | ({"diversity": asked["diversity"]} if "diversity" in asked else {})
