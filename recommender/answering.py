"""One turn of answers: questions in, items with reasons out, the same way for one and for a thousand."""

from __future__ import annotations

import copy
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.database import microseconds
from engine.errors import Invalid, nearest
from recommender import bundles
from recommender.answers import PERSONAL, PINNED, Answer, InSet, Reason, Recommended, Request, chosen, pinned, reason
from recommender.arranging import POOL, Arrangement, Found
from recommender.arrays import Ints, Mask
from recommender.bundles import OnSale
from recommender.business import Filter
from recommender.comparisons import Running, Variant
from recommender.fitted import Fitted
from recommender.history import EMPTY, NOTHING, History
from recommender.interactions import Log
from recommender.placements import Plan
from recommender.shelf import Shelf, Shown, between
from recommender.sources import PERSONAL_SOURCES
from recommender.sources.base import Because, Finds, Query, explained, row_of
from recommender.sources.bundles import Bundles, Offer
from recommender.sources.buy_again import BuyAgain
from recommender.sources.next_purchase import NextPurchase
from recommender.sources.popular import FILLING
from recommender.trail import Trail

FADING: Final = 0.8  # weight of each earlier step of a session
MASKS: Final = 200  # filters whose masks are kept; storefronts ask with a handful

_NONE: Final = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class State:
    """What answers now. rows: shelf row of each item number; suppressed: keys of items shown nowhere."""

    training_id: int | None
    fitted: Fitted
    plans: dict[str, Plan]
    suppressed: tuple[str, ...]
    shelf: Shelf
    rows: Ints
    masks: dict[tuple[Filter, ...], Mask] = field(default_factory=dict)
    comparisons: Mapping[str, Running] = field(default_factory=dict)  # by the key of their placement
    bundles: tuple[OnSale, ...] = ()

    def plan(self, key: str) -> Plan:
        """The placement; raises Invalid with the nearest known one."""
        if key not in self.plans:
            raise Invalid(f"There is no placement '{key}'.{nearest(key, self.plans)}", field="placement")
        return self.plans[key]

    def allowed(self, filters: tuple[Filter, ...]) -> Mask:
        """Which item numbers may be offered: looked at once for as long as the shelf stays as it is."""
        found = self.masks.get(filters)
        if found is None:
            if len(self.masks) >= MASKS:
                self.masks.clear()
            found = self.masks[filters] = self.shelf.allowed(self.rows, *filters)
        return found

    @cached_property
    def sets(self) -> Bundles:
        """What is on sale together."""
        return bundles.source(self.bundles, self.shelf, self.fitted)

    @cached_property
    def sources(self) -> Mapping[str, Finds]:
        """What was learned, the sets, and what is bought again of what comes next."""
        order = self.fitted.sources.get(NextPurchase.name)
        again = {BuyAgain.name: BuyAgain(order)} if isinstance(order, NextPurchase) else {}
        return {**self.fitted.sources, Bundles.name: self.sets, **again}

    @cached_property
    def price(self) -> Ints:
        """Price of each item number."""
        return self.shelf.state.at(self.rows).price

    @cached_property
    def _blank(self) -> sparse.csr_array:
        return sparse.csr_array((1, len(self.rows)), dtype=np.float32)

    def matrix(self, items: Ints, weights: npt.ArrayLike) -> sparse.csr_array:
        """1 x items from item ids, each once, and weights."""
        number = self.fitted.numbers(items)
        if not len(number):
            return self._blank
        order = np.argsort(number, kind="stable")[np.count_nonzero(number < 0) :]  # unknown items are -1
        matrix = copy.copy(self._blank)  # building one takes 30 us, ten times as long
        matrix.indices = number[order].astype(np.int32)
        matrix.data = np.asarray(weights, np.float32)[order]
        matrix.indptr = np.array([0, len(order)], np.int32)
        return matrix


class Asked(NamedTuple):
    """What is asked in a turn, in ids of items that are known; done: what the contact or visitor did, as
    recommender.history tells; shown: what stood in their last mails. Nothing else makes a difference to what is shown.
    """

    items: tuple[int, ...]
    cart: tuple[int, ...]
    session: tuple[int, ...]
    exclude: tuple[int, ...]
    done: str = NOTHING
    shown: tuple[int, ...] = ()

    @classmethod
    def of(cls, request: Request, shelf: Shelf) -> Self:
        """From a request, of somebody who did nothing so far."""
        lists = request.items, request.cart, request.session, (*request.exclude, *request.before)
        items, cart, session, exclude = (tuple(shelf.ids_of(keys)) for keys in lists)
        return cls(items, cart, session, exclude)


@dataclass(frozen=True)
class Question:
    """context: item ids and weights of what is looked at; excluded: item ids; visit: what was looked at in this visit,
    oldest first; dearest: price of what a price is measured against; held: ids of what is on the page or in the cart.
    """

    context: dict[int, float]
    history: History
    excluded: Ints
    visit: Log = EMPTY.done
    dearest: int | None = None
    held: tuple[int, ...] = ()


@dataclass(frozen=True)
class Questions:
    """What sources are asked, and of each question the numbers of the items that were bought, and the ids of those that
    must not be offered.
    """

    query: Query
    bought: Sequence[frozenset[int]]
    excluded: Sequence[Ints]


Row = tuple[Recommended, ...]  # what is shown, best first
Tell = Callable[[int], Shown]


@dataclass(frozen=True)
class Turn:
    """Questions that share a placement, an arm of its comparison, a filter, a number of items and a moment."""

    state: State
    plan: Plan
    filter: Filter
    n: int
    now: datetime
    explain: bool
    figures: bool = True
    personal: bool = True
    variant: Variant | None = None

    @classmethod
    def of(
        cls,
        state: State,
        request: Request,
        now: datetime,
        plan: Plan | None = None,
        *,
        variant: Variant | None = None,
    ) -> Turn:
        """For one question; `plan` in place of the placement's own, `variant` of both."""
        plan = variant.plan if variant else plan or state.plan(request.placement)
        if request.rules:
            plan = replace(plan, rules=replace(plan.rules, **request.rules))
        if request.strict:  # what is made of best-sellers alone is what they find
            knowing = tuple(name for name in plan.sources if name not in FILLING)
            plan = replace(plan, sources=knowing or plan.sources)
        told = request.explain, request.figures, request.personal
        return cls(state, plan, request.filter, request.n, now, *told, variant)

    def is_personal(self, asked: Asked) -> bool:
        """Whether it makes a difference what the contact or visitor did: where something is looked at that the
        training knows, to most sources it makes none.
        """
        looked_at = (*asked.items, *asked.cart, *asked.session)
        known = bool(looked_at) and (self.state.fitted.numbers(np.array(looked_at, np.int64)) >= 0).any()
        return not known or self.plan.rules.exclude_purchased or not PERSONAL_SOURCES.isdisjoint(self.plan.sources)

    def row(self, asked: Asked) -> Row:
        """What is shown to one."""
        one = self._question(asked)
        bought = frozenset(self.state.fitted.numbers(one.history.bought).tolist())
        return self.shown(Questions(self._query(one), [bought], [one.excluded]))[0]

    def _question(self, asked: Asked) -> Question:
        """What is looked at, the contact's or visitor's history, and what must not be offered."""
        rules = self.plan.rules
        context = dict.fromkeys(asked.items or asked.cart, 1.0)  # what goes with this page, not with the one before
        if not context:
            for step, item in enumerate(reversed(asked.session)):
                context.setdefault(item, FADING**step)
        held = tuple(dict.fromkeys((*asked.items, *asked.cart)))
        barred = [*asked.exclude, *asked.items, *asked.shown]
        barred += asked.cart if rules.exclude_cart else ()
        barred += asked.session if rules.exclude_viewed else ()
        past = History.read(asked.done, self.now)
        bought = past.bought if rules.exclude_purchased else _NONE
        excluded = np.union1d(np.array(barred, np.int64), bought) if barred else bought
        visit = self._visit([*asked.session, *asked.items])
        return Question(context, past, excluded, visit, self._dearest(asked), held)

    def _visit(self, item_ids: Sequence[int]) -> Log:
        if not item_ids:
            return EMPTY.done
        nothing, items = np.zeros(len(item_ids), np.int64), np.array(item_ids, np.int64)
        return Log(nothing, nothing, items, np.ones(len(items)), nothing + microseconds(self.now))

    def told(self, row: Row, missing: tuple[str, ...] = ()) -> Answer:
        """What is shown, as an answer with a name of its own; missing: keys nobody knows."""
        training_id, variant = self.state.training_id, self.variant
        number = f"{training_id or 0}.{secrets.token_urlsafe(16)}" + (f".{variant.mark}" if variant else "")
        arm = variant.arm if variant else None
        return Answer(number, self.plan.key, training_id, training_id is None, row, missing, arm)

    def shown(self, asked: Questions) -> list[Row]:
        """What is shown to each."""
        kept = self._kept(asked)
        tell = cache(self.state.shelf.shown.__getitem__)  # the same ones are shown to many
        reasons = self._reasons(asked, kept, tell)
        return [self._told(found, reasons[row], tell, asked.query, row) for row, found in enumerate(kept)]

    def _told(self, found: Sequence[Found], why: Sequence[Reason | None], tell: Tell, query: Query, row: int) -> Row:
        told = tuple(
            Recommended(*tell(one.item_id), self._score(one), rank, one.source, reason)
            for rank, (one, reason) in enumerate(zip(found, why, strict=True), 1)
        )
        if Bundles.name not in self.plan.sources or all(one.source != Bundles.name for one in found):
            return told
        whole = self.state.sets.whole(query, row, [one.number for one in found if one.source == Bundles.name])
        sets = [_in_set(whole.get(one.number)) for one in found]
        return tuple(item._replace(bundle=held) for item, held in zip(told, sets, strict=True))

    def _score(self, found: Found) -> float | None:
        return round(found.score, 6) if self.figures else None

    @property
    def _filters(self) -> tuple[Filter, ...]:
        everywhere = (Filter(suppressed=self.state.suppressed),) if self.state.suppressed else ()
        own = (self.filter,) if any(one is not None and one != () for one in self.filter) else ()
        return (self.plan.rules.filter, *own, *everywhere)

    def _query(self, one: Question) -> Query:
        matrix = self.state.matrix
        held = matrix(np.array(one.held, np.int64), np.ones(len(one.held))) if self.sells_sets else None
        return Query(
            matrix(np.fromiter(one.context, np.int64), list(one.context.values())),
            matrix(one.history.items, one.history.weights),
            matrix(one.excluded, np.ones(len(one.excluded))),
            self.allowed(one.dearest),
            self._trail(one.history.done),
            self._trail(one.visit),
            held,
        )

    @property
    def sells_sets(self) -> bool:
        """Whether anything asks what is held: only sets do."""
        return bool(self.state.bundles) and Bundles.name in self.plan.sources

    def _trail(self, log: Log) -> Trail:
        """What was done, in its order."""
        known = self.state.fitted.numbers(log.item)
        starts = np.array([0, len(log)], np.int64)
        trail = Trail(starts, known.astype(np.int32), log.amount.astype(np.float32), log.order, log.at)
        return trail if (known >= 0).all() else trail.where(known >= 0)

    def allowed(self, dearest: int | None = None) -> Mask:
        """What may be offered, beside what costs `dearest` where a rule compares prices."""
        mask, rules = self.state.allowed(self._filters), self.plan.rules
        if dearest is None:
            return mask
        low, high = (ratio and round(ratio * dearest) for ratio in (rules.price_ratio_min, rules.price_ratio_max))
        return between(mask.copy(), self.state.price, low, high)

    def _dearest(self, asked: Asked) -> int | None:
        """What the dearest item on the page costs, or in the cart; only looked up where a rule needs it."""
        rules, shown = self.plan.rules, self.state.shelf.shown
        if rules.price_ratio_min is None and rules.price_ratio_max is None:
            return None
        return max((shown[item].price or 0 for item in asked.items or asked.cart), default=0) or None

    def _kept(self, asked: Questions) -> list[list[Found]]:
        """What is shown to each: the sources' finds, arranged by the rules."""
        arranges, ids = self.plan.rules.arranges, self.state.fitted.item_ids
        most = max(self.n, POOL) if arranges else self.n
        chosen = self.state.fitted.choose(self.plan.sources, asked.query, most, self.state.sources)
        item = iter(ids[[one.item for some in chosen for one in some]].tolist())
        found = [[Found(next(item), *one) for one in some] for some in chosen]
        if not arranges:
            return found
        arrangement = Arrangement.of(self.plan.rules, self.state.shelf, self.now, self._may)
        return [arrangement.arrange(some, barred, self.n) for some, barred in zip(found, asked.excluded, strict=True)]

    def _may(self, item_ids: Sequence[int]) -> Mask:
        return self.state.shelf.allowed(self.state.shelf.rows_of(item_ids), *self._filters)

    def _reasons(self, asked: Questions, kept: Sequence[Sequence[Found]], tell: Tell) -> list[list[Reason | None]]:
        """Why each item is shown in each row."""
        told: list[list[Reason | None]] = [[pinned() if self.explain else None] * len(found) for found in kept]
        if not self.explain:
            return told
        by_source: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for row, found in enumerate(kept):
            for place, one in enumerate(found):
                by_source[one.source].append((row, place, one.number))
        by_source.pop(PINNED, None)
        worded = cache(partial(self._worded, cache(partial(self._named, tell))))
        for name, some in by_source.items():
            rows, _, items = np.array(some, np.int64).T
            because = explained(self.state.sources[name], asked.query, rows, items)
            for (row, place, _), why in zip(some, because, strict=True):
                if self.personal or self._is_plain(asked.query, row, why):
                    told[row][place] = worded(why, self.personal and asked.bought[row].issuperset(why.items))
                else:
                    told[row][place] = chosen(why.kind)
        return told

    def _is_plain(self, query: Query, row: int, because: Because) -> bool:
        """Whether the reason tells nothing but what is looked at now."""
        return because.kind not in PERSONAL and set(because.items) <= set(row_of(query.context, row)[0].tolist())

    def _worded(self, named: Callable[[int], tuple[int, str]], because: Because, bought: bool) -> Reason:
        led = [named(item) for item in because.items]
        titles, ids = [title for _, title in led], [item_id for item_id, _ in led]
        return reason(because, titles, ids, bought=bought, figures=self.figures, zone=self.now.tzinfo or UTC)

    def _named(self, tell: Tell, number: int) -> tuple[int, str]:
        """Id and title of an item that leads to another; of what is not sold any more nobody knows the title."""
        item_id = int(self.state.fitted.item_ids[number])
        shown = tell(item_id) if item_id in self.state.shelf.shown else None
        return item_id, (shown.title or shown.key) if shown else ""


def _in_set(offer: Offer | None) -> InSet | None:
    return InSet(offer.key, offer.name, offer.price, offer.saves) if offer else None


def warm(fitted: Fitted) -> None:
    """Have what sources compute at their first question computed."""
    nothing = sparse.csr_array((1, len(fitted.item_ids)), dtype=np.float32)
    allowed, nobody = np.ones(len(fitted.item_ids), bool), Trail.empty(1)
    query = Query(nothing, nothing, nothing, allowed, nobody, nobody)
    fitted.choose(list(fitted.sources), query, 1)
    fitted.numbers(_NONE)
