"""Comparisons: two settings of a placement, and best-sellers for those held out, each shown to people by chance.

Who sees what is computed, not stored: a salted hash of the contact, or of the visitor nobody knows, falls into the
share of one arm. So a person keeps the arm while the comparison runs, no answer waits for a write, and an event tells
by the end of its recommendation id (`.12b`: arm b of comparison 12) what was shown. A visitor who becomes known is from
then on hashed as the contact, on all devices alike, which may be the other arm; they count for the arm they were shown
first (campaigns.readout).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.errors import Conflict, Faults, Invalid, Noted, NotFound, every
from recommender import business, placements
from recommender.business import RULES, Rules
from recommender.models import Comparison
from recommender.placements import Plan

Arm = Literal["a", "b", "holdout"]
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)
LETTERS: Final[Mapping[str, Arm]] = {arm[0]: arm for arm in ARMS}  # how a recommendation id ends
HOLDOUT_LIMIT: Final = 0.5
LEAST_SHARE: Final = 0.05  # of either variant among those who are not held out
DAYS: Final = (1, 90)
BEST_SELLERS: Final = ("popular", "newest")  # what is new where nothing was sold
KEPT: Final = ("mask", "person")  # rules that hold for best-sellers too; the rest is what a variant tries


class Variant(NamedTuple):
    """What one person sees. mark: how the recommendation id ends."""

    arm: Arm
    mark: str
    plan: Plan


@dataclass(frozen=True)
class Running:
    """A comparison as it answers: the plan of each arm, and how people fall to them."""

    id: int
    salt: str
    holdout: float
    share_b: float
    plans: Mapping[Arm, Plan]

    def variant(self, contact_id: int | None, visitor: str | None) -> Variant | None:
        """What somebody sees; None for who is not known by anything."""
        if contact_id is None and not visitor:
            return None
        arm = self.arm(f"contact {contact_id}" if contact_id is not None else f"visitor {visitor}")
        return Variant(arm, f"{self.id}{arm[0]}", self.plans[arm])

    def arm(self, who: str) -> Arm:
        """Where the hash of somebody falls in [0, 1): first those held out, then b, the rest is a."""
        digest = hashlib.blake2b(f"{self.salt} {who}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest) / 2**64
        if place < self.holdout:
            return "holdout"
        return "b" if place < self.holdout + (1 - self.holdout) * self.share_b else "a"


def running(session: Session) -> dict[str, Running]:
    """The comparisons that run, by the key of their placement."""
    rows = session.scalars(select(Comparison).where(Comparison.ended_at.is_(None)).order_by(Comparison.id))
    return {row.placement: as_running(row) for row in rows}


def as_running(row: Comparison) -> Running:
    """The comparison as it answers, or answered."""
    plans = {arm: plan_of(row, arm) for arm in ARMS}
    return Running(row.id, row.salt, row.holdout, row.share_b, plans)


def plan_of(row: Comparison, arm: Arm) -> Plan:
    """The settings of an arm. Who is held out sees best-sellers under the rules of a that say what may be shown."""
    given = row.variant_b if arm == "b" else row.variant_a
    plan = Plan(row.placement, given["label"], tuple(given["sources"]), business.parse(given["rules"]))
    return best_sellers(plan) if arm == "holdout" else plan


def best_sellers(plan: Plan) -> Plan:
    """Best-sellers in the place of what a plan finds, within what it may show."""
    kept = {name: getattr(plan.rules, name) for name, about in RULES.items() if about.acts in KEPT}
    return replace(plan, name="Best-sellers", sources=BEST_SELLERS, rules=Rules(**kept))


def latest(session: Session, key: str) -> Comparison:
    """The one that runs, or the last that did; raises NotFound."""
    found = session.scalar(
        select(Comparison).where(Comparison.placement == key).order_by(Comparison.id.desc()).limit(1)
    )
    if found is None:
        raise NotFound(f"Nothing was compared at the placement '{key}' yet.")
    return found


def variant(session: Session, key: str, given: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A variant as it is stored, from `placement` (another one's settings), or `sources` and `rules`; what is left out
    is as the placement is. Raises Invalid, the field named under `field`.
    """
    plans = placements.read(session)
    base = plans.get(given.get("placement") or key)
    if base is None:
        raise Invalid(f"There is no placement '{given['placement']}'.", field=f"{field}.placement")
    sources = given.get("sources") or base.sources
    rules = base.rules.json() if given.get("rules") is None else given["rules"]
    label = (given.get("label") or "").strip() or base.name
    try:
        plan = placements.planned(key, label, sources, rules)
    except Invalid as error:
        raise Faults([Invalid(one.message, field=f"{field}.{_place(one)}") for one in every(error)]) from None
    return {"label": plan.name, "sources": list(plan.sources), "rules": plan.rules.json()}


def _place(fault: Invalid) -> str | None:
    return "label" if fault.field == "name" else fault.field


def start(
    session: Session,
    key: str,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    *,
    share_b: float = 0.5,
    holdout: float = 0.1,
    days: int = 14,
    by: str = "",
    now: datetime,
) -> Comparison:
    """Compare from now on. a, b: as `variant` takes them. Raises NotFound, Conflict while one runs here, Faults for
    shares and days out of bounds and variants that cannot be, Invalid for variants that are the same.
    """
    _placement(session, key)
    noted, variants = Noted(), []
    with noted:
        _check(share_b, holdout, days)
    for field, given in (("a", a), ("b", b)):
        with noted:
            variants.append(variant(session, key, given, field))
    noted.tell()
    first, second = variants
    if all(first[part] == second[part] for part in ("sources", "rules")):
        raise Invalid("The variants are the same: change the sources or a rule of one of them.", field="b")
    placements.hold(session, key)
    if key in running(session):
        raise Conflict("A comparison runs at this placement already: stop it before another one begins.")
    row = Comparison(
        placement=key,
        variant_a=first,
        variant_b=second,
        share_b=share_b,
        holdout=holdout,
        salt=secrets.token_hex(16),
        days=days,
        started_at=now,
        started_by=by[:254],
    )
    session.add(row)
    session.flush()
    return row


def _check(share_b: float, holdout: float, days: int) -> None:
    at_least = f"Show either variant to at least {LEAST_SHARE * 100:g}% of the people who are not held out."
    checks = {
        "share_b": (LEAST_SHARE <= share_b <= 1 - LEAST_SHARE, at_least),
        "holdout": (0 <= holdout <= HOLDOUT_LIMIT, f"Hold out between 0 and {HOLDOUT_LIMIT * 100:g}% of the people."),
        "days": (DAYS[0] <= days <= DAYS[1], f"Plan between {DAYS[0]} and {DAYS[1]} days."),
    }
    if wrong := [Invalid(words, field=name) for name, (fits, words) in checks.items() if not fits]:
        raise Faults(wrong)


def counts_until(row: Comparison, now: datetime) -> datetime:
    """The moment up to which what happens counts: the planned end, or when it was stopped before it."""
    return min(now, row.ended_at or now, planned_end(row))


def planned_end(row: Comparison) -> datetime:
    """When the figures are final."""
    return row.started_at + timedelta(days=row.days)


def stop(session: Session, key: str, now: datetime) -> Comparison:
    """Everybody sees the placement as it is again. Raises NotFound, Conflict when none runs."""
    placements.hold(session, key)
    row = latest(session, key)
    if row.ended_at is not None:
        raise Conflict("No comparison runs at this placement.")
    row.ended_at = now
    session.flush()
    return row


def adopt(session: Session, key: str, arm: Arm, now: datetime) -> Comparison:
    """The placement takes the settings of an arm of the last comparison, which ends. Raises NotFound, and Conflict when
    one was adopted already.
    """
    placements.hold(session, key)
    row, plan = latest(session, key), _placement(session, key)
    if row.adopted is not None:
        raise Conflict("A variant of this comparison was adopted already.")
    row.ended_at = row.ended_at or now
    session.flush()
    row.before = _settings(plan)
    row.adopted = arm
    _take(session, key, _settings(plan_of(row, arm)), now)
    return row


def take_back(session: Session, key: str, now: datetime) -> Comparison:
    """Undo an adoption: the placement has the settings it had before. Raises NotFound, Conflict when there is none or
    the placement was edited since.
    """
    placements.hold(session, key)
    row = latest(session, key)
    if row.adopted is None or row.before is None:
        raise Conflict("No variant of the last comparison was adopted, so there is nothing to undo.")
    arm: Arm = row.adopted  # type: ignore[assignment]
    if _settings(_placement(session, key)) != _settings(plan_of(row, arm)):
        raise Conflict("The placement was edited since the variant was adopted: change it on its own page.")
    _take(session, key, row.before, now)
    row.adopted = row.before = None
    return row


def _placement(session: Session, key: str) -> Plan:
    """The placement as it is; raises NotFound."""
    plans = placements.read(session)
    if key not in plans:
        raise NotFound(f"There is no placement '{key}'.")
    return plans[key]


def _settings(plan: Plan) -> dict[str, Any]:
    return {"sources": list(plan.sources), "rules": plan.rules.json()}


def _take(session: Session, key: str, settings: Mapping[str, Any], now: datetime) -> None:
    name = _placement(session, key).name
    placements.edit(session, key, name=name, sources=settings["sources"], given=settings["rules"], now=now)
