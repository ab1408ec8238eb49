"""Parts that answer together: item-to-item tables, each asked with a history weighed its own way, and one blend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Final, Protocol

import numpy as np
from scipy import sparse

from recommender import blend
from recommender.arrays import Floats
from recommender.blend import Asked, Own
from recommender.interactions import Interactions
from recommender.sources import crowd, neighbours
from recommender.sources.base import Arrays, Candidates, Query, Settings, best
from recommender.sources.crowd import Spoken
from recommender.sources.folded import Folded, Said
from recommender.sources.touched import Entries, One, best_of_each, gathered, led_to
from recommender.sources.weighing import Weighing

BLOCK: Final = 500  # questions at a time


class Speaks(Protocol):
    """A part of a blend."""

    @property
    def weighing(self) -> Weighing:
        """What of a question it looks at."""

    @property
    def table(self) -> sparse.csr_array | None:
        """Its table, if it is one."""

    def scores(self, query: Query) -> sparse.csr_array:
        """q x n."""

    def entries(self, one: One) -> Entries:
        """The row of one question, as items, of which the same may come again, with what each adds."""


@dataclass(frozen=True)
class Part:
    """How a history is weighed, and the table it is multiplied with; without one the items speak for themselves."""

    weighing: Weighing
    table: sparse.csr_array | None = None

    def scores(self, query: Query) -> sparse.csr_array:
        """q x n."""
        weights = self.weighing.matrix(query)
        return weights if self.table is None else sparse.csr_array(weights @ self.table)

    def entries(self, one: One) -> Entries:
        """Its row of one question."""
        given = one.weighed(self.weighing)
        return given if self.table is None else led_to(self.table, given)


@dataclass(frozen=True)
class Recipe:
    """How a source is mixed: settings of each part and weights of the blend, as they are unless tuning chose others;
    grid: what tuning may choose from; part: makes one; priors: makes all, the plainest first; jointly: settings that
    hang together, of which tuning tries every combination before one after the other.
    """

    source: str
    usual: Mapping[str, Mapping[str, Any]]
    grid: Mapping[str, Mapping[str, Sequence[Any]]]
    weights: Mapping[str, float]
    part: Callable[[str, Interactions, Mapping[str, Any], Settings], Speaks]
    priors: Callable[[Interactions], dict[str, Floats]]
    jointly: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)

    def together(self, part: str, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
        """`chosen` with every combination of what hangs together in a part."""
        jointly = self.jointly.get(part, {})
        return [{**chosen, **dict(zip(jointly, values, strict=True))} for values in product(*jointly.values())]

    def chosen(self, part: str, settings: Settings) -> Mapping[str, Any]:
        """Settings of a part."""
        tuned = settings.tuned.get(self.source, {}).get("parts", {})
        return {**self.usual[part], **tuned.get(part, {})}

    def fit(self, interactions: Interactions, settings: Settings) -> Blended:
        """Learn every part."""
        parts = {name: self.part(name, interactions, self.chosen(name, settings), settings) for name in self.usual}
        tuned = settings.tuned.get(self.source, {})
        weights, centres = tuned.get("weights", self.weights), tuned.get("centres", {})
        return Blended(parts, self.priors(interactions), weights, centres)


@dataclass(frozen=True)
class Blended:
    """parts and priors by name, the first of each the plainest; weights and centres of the blend; rate: see blend.Own,
    None where nothing is offered twice.
    """

    parts: Mapping[str, Speaks]
    priors: Mapping[str, Floats]
    weights: Mapping[str, float]
    centres: Mapping[str, float]
    rate: Floats | None = None

    def only(self, part: str) -> Blended:
        """One part alone."""
        return Blended({part: self.parts[part]}, self.priors, blend.alone(part), {})

    def asked(self, query: Query) -> Asked:
        """What each part says."""
        found = {name: blend.offered(part.scores(query), query) for name, part in self.parts.items()}
        return Asked(found, self.priors, self._about(query), self.centres, self._own(query))

    def _about(self, query: Query) -> dict[str, Floats]:
        """What blend.ABOUT says of each question."""
        of = next(iter(self.parts.values())).weighing.of
        held = Weighing(of).matrix(query)
        trail = {"context": None, "past": query.past, "visit": query.visit}[of]
        entries = np.diff(held.indptr if trail is None else trail.starts)
        known = held if trail is None else Weighing(of, fading=0.0).matrix(query)  # of the last step
        support = (known > 0) @ next(iter(self.priors.values()))
        told = (np.log(np.maximum(entries, 1)) - 1, np.log(np.maximum(np.diff(held.indptr), 1)) - 1)
        values = (*told, support / np.maximum(np.diff(known.indptr), 1))
        return {name: value.astype(np.float32) for name, value in zip(blend.ABOUT, values, strict=True)}

    def candidates(self, query: Query, n: int) -> Candidates:
        """The n best of each question."""
        if len(query) <= BLOCK:
            return self._candidates(query, n)
        blocks = [query.only(np.arange(first, min(first + BLOCK, len(query)))) for first in range(0, len(query), BLOCK)]
        found = [self._candidates(block, n) for block in blocks]
        return Candidates(np.concatenate([one.items for one in found]), np.concatenate([one.scores for one in found]))

    def arrays(self) -> dict[str, Any]:
        """All that was learned."""
        named = blend.names(self.parts, self.priors, own=self.rate is not None)
        files = {"weights": np.array([self.weights.get(name, 0.0) for name in named], np.float32)}
        for name, part in self.parts.items():
            files[f"{name}.weighing"] = np.append(part.weighing.pack(), np.float32(self.centres.get(name, 0.0)))
            if part.table is not None:
                files |= {f"{name}.{what}": array for what, array in neighbours.pack(part.table).items()}
        files |= {f"{name}.prior": known for name, known in self.priors.items()}
        return files | ({"rate": self.rate} if self.rate is not None else {})

    @classmethod
    def restore(cls, arrays: Arrays, others: Mapping[str, Speaks] | None = None) -> Blended:
        """From arrays, which may be memory-mapped, in the order they were told; `others` are parts that no table is."""
        known = others or {}
        parts = {name: known.get(name) or _part(arrays, name) for name in _ending(arrays, ".weighing")}
        priors = {name: arrays[f"{name}.prior"] for name in _ending(arrays, ".prior")}
        named = blend.names(parts, priors, own="rate" in arrays)
        weights = dict(zip(named, arrays["weights"].tolist(), strict=True))
        centres = {name: float(arrays[f"{name}.weighing"][-1]) for name in parts}
        return cls(parts, priors, weights, centres, arrays.get("rate"))

    def _candidates(self, query: Query, n: int) -> Candidates:
        if self.rate is not None:
            chosen = blend.choices(self.asked(query), query)
            return chosen.ranked(chosen.scores(self.weights), n)
        if len(query) > 1:
            said = self._said_of_many(query)
            return Candidates.of(said.starts, said.item, self._folded.scores(said), n)
        said, found = self._said_of_one(query), Candidates.empty(1, n)
        found.put(0, *best(said.item, self._folded.scores(said), n))
        return found

    def _said_of_many(self, query: Query) -> Said:
        said = None
        if all(isinstance(part, Part) and part.table is not None for part in self.parts.values()):
            ways = {part.weighing for part in self.parts.values()}
            weights = {way: way.matrix(query) for way in ways}
            spoken = [Spoken.of(weights[part.weighing], part.table) for part in self.parts.values()]
            said = crowd.said(spoken, query, np.stack(list(self._about(query).values())))
        return Said.of(self.asked(query), len(query.allowed)) if said is None else said

    def _said_of_one(self, query: Query) -> Said:
        """The same, to rounding, for a question that is alone."""
        one = One(query)
        items, scores = gathered(
            [part.entries(one) for part in self.parts.values()], query.allowed, query.excluded.indices
        )
        about = one.about(next(iter(self.parts.values())).weighing.of, self._folded.known)
        chosen, peaks = best_of_each(scores), scores.max(axis=1, keepdims=True, initial=0)
        return Said(np.zeros(int(chosen.sum()), np.int64), items[chosen], scores[:, chosen], peaks, about)

    @cached_property
    def _folded(self) -> Folded:
        return Folded.of(list(self.parts), self.priors, self.weights, self.centres)

    def _own(self, query: Query) -> Own | None:
        of = next(iter(self.parts.values())).weighing.of
        trail = query.past if of == "past" else query.visit
        if self.rate is None or trail is None:
            return None
        if of == "past":
            trail = trail.where(trail.weights >= 1)
        trail = replace(trail, weights=np.ones(len(trail.items), np.float32))
        held = trail.matrix(len(query.allowed), once=False)
        held.sort_indices()
        entries = sparse.csr_array((trail.back, trail.items, trail.starts), shape=held.shape)
        return Own(held, _least(entries, held), self.rate)


def _least(entries: sparse.csr_array, held: sparse.csr_array) -> Floats:
    """Smallest value among the equal entries of each of `held`."""
    keys = blend.keys_of(entries)
    order = np.lexsort((entries.data, keys))
    first = np.unique(keys[order], return_index=True)[1]
    return np.asarray(entries.data[order][first], np.float32)


def _ending(arrays: Arrays, ending: str) -> list[str]:
    return [name.removesuffix(ending) for name in arrays if name.endswith(ending)]


def _part(arrays: Arrays, name: str) -> Part:
    table = None
    if f"{name}.starts" in arrays:
        table = neighbours.unpack(*(arrays[f"{name}.{what}"] for what in ("starts", "items", "weights")))
    return Part(Weighing.unpack(arrays[f"{name}.weighing"][:-1]), table)
