"""Several parts of a source made one: how much each says, learned from what people chose.

Every question has candidates, the best of each part; what was chosen among them is a conditional logit (D. McFadden,
Conditional logit analysis of qualitative choice behavior, 1974) of how each part ranks them and how well known each is.
A dozen weights are learned from thousands of questions, so they carry over to the next month and to other data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Floats, Ints, Mask
from recommender.sources.base import Candidates, Query, best

DEEP: Final = 40  # candidates of each part
FLOOR: Final = 0.01  # added to a share of the best score under the logarithm
PRIOR: Final = 0.5  # times an item is supposed to have been chosen already
SURE: Final = 3.0  # at most so far from the usual log is a part held to be
STEPS: Final = 150  # of the search for weights; it ends at about 60


@dataclass(frozen=True)
class Own:
    """What a question holds already, where that may be offered again: held is q x n, how often; back: of the same
    entries, how many steps ago at last; rate: of each item, log of how often those who held it took it again.
    """

    held: sparse.csr_array
    back: Floats
    rate: Floats


@dataclass(frozen=True)
class Asked:
    """Questions with what each part says of them.

    parts: q x n scores by name, of what may be offered; priors: n, log of how well known each item is, the first one
    the plainest; about: q, what is known about who asks; centres: by part the usual log of a question's best score,
    above which the part is sure; own: None where nothing is offered twice.
    """

    parts: Mapping[str, sparse.csr_array]
    priors: Mapping[str, Floats]
    about: Mapping[str, Floats]
    centres: Mapping[str, float]
    own: Own | None = None


@dataclass(frozen=True)
class Choices:
    """m candidates of q questions: row and item of each, ordered by both; features m x f and their names."""

    row: Ints
    item: Ints
    features: Floats
    names: tuple[str, ...]
    count: int

    @property
    def starts(self) -> Ints:
        """q + 1: where the candidates of each question begin."""
        return np.searchsorted(self.row, np.arange(self.count + 1)).astype(np.int64)

    def only(self, questions: Mask) -> Choices:
        """The candidates of some questions, counted anew."""
        kept = questions[self.row]
        row = (np.cumsum(questions) - 1)[self.row[kept]]
        return Choices(row, self.item[kept], self.features[kept], self.names, int(questions.sum()))

    def scores(self, weights: Mapping[str, float]) -> Floats:
        """What the weights make of each candidate; features without one count nothing."""
        return self.features @ np.array([weights.get(name, 0.0) for name in self.names], np.float32)

    def ranked(self, scores: Floats, n: int) -> Candidates:
        """The n best of each question, equals by number."""
        found, starts = Candidates.empty(self.count, n), self.starts
        for row in range(self.count):
            span = slice(starts[row], starts[row + 1])
            found.put(row, *best(self.item[span], scores[span], n))
        return found


def prior(count: npt.NDArray[Any]) -> Floats:
    """Log of how often each item was chosen, beside the mean."""
    known = count + PRIOR
    return np.log(known / known.mean()).astype(np.float32) if len(count) else np.empty(0, np.float32)


def offered(scores: sparse.csr_array, query: Query) -> sparse.csr_array:
    """The positive scores of what may be offered, sorted."""
    scores.sort_indices()
    keys = keys_of(scores)
    kept = query.allowed[scores.indices] & (scores.data > 0)
    barred = keys_of(query.excluded)
    if len(barred) and len(keys):  # few are barred, and both are in order
        places = np.minimum(keys.searchsorted(barred), len(keys) - 1)
        kept[places[keys[places] == barred]] = False
    starts = np.concatenate([[0], np.cumsum(kept)])[scores.indptr]
    return sparse.csr_array((scores.data[kept], scores.indices[kept], starts), shape=scores.shape)


def choices(asked: Asked, query: Query, deep: int = DEEP) -> Choices:
    """The union of what each part finds best, and what each part says of all of them."""
    width = len(query.allowed)
    keys = [best_keys(matrix, deep) for matrix in asked.parts.values()]
    if asked.own:
        keys.append(keys_of(offered(asked.own.held, query)))
    union = np.unique(np.concatenate(keys))
    row, item = union // width, union % width
    told = _features(asked, row, item, union)
    features = np.stack(list(told.values()), axis=1) if len(union) else np.empty((0, len(told)), np.float32)
    return Choices(row, item, features.astype(np.float32), tuple(told), len(query))


def alone(part: str) -> dict[str, float]:
    """The weights by which one part ranks by itself: what few questions shrink to."""
    return {f"{part} log": 1.0}


def learn(
    asked: Choices, chosen: sparse.csr_array, start: Mapping[str, float], strength: float = 1.0
) -> dict[str, float]:
    """Weights of the features: the mean log-likelihood of the chosen among the candidates, less half the squared
    distance from `start`, times `strength` over the number of questions. chosen: q x n, not zero = was chosen.
    """
    from scipy.optimize import minimize  # noqa: PLC0415  # 14 MB in each process, tuning only

    hit = np.isin(asked.row * chosen.shape[1] + asked.item, keys_of(chosen)).astype(np.float64)
    per = np.bincount(asked.row, hit, asked.count)
    teaching = asked.only(per > 0)
    hit = hit[per[asked.row] > 0]
    at = np.array([start.get(name, 0.0) for name in asked.names])
    if not teaching.count:
        return dict(start)
    found = minimize(
        _Likelihood.of(teaching, hit, at, strength), at, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    return {name: round(float(weight), 6) for name, weight in zip(asked.names, found.x, strict=True)}


@dataclass(frozen=True)
class _Likelihood:
    """What is made small: less the log-likelihood, and the distance from the start."""

    features: Floats
    starts: Ints
    row: Ints
    sure: npt.NDArray[Any]  # features of the chosen, summed
    own: Floats  # weight of each candidate that was chosen
    start: npt.NDArray[np.float64]
    strength: float

    @classmethod
    def of(
        cls, asked: Choices, hit: npt.NDArray[np.float64], start: npt.NDArray[np.float64], strength: float
    ) -> _Likelihood:
        per = np.bincount(asked.row, hit, asked.count)
        own = (hit / per[asked.row] / asked.count).astype(np.float32)
        return cls(asked.features, asked.starts[:-1], asked.row, asked.features.T @ own, own, start, strength)

    def __call__(self, weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        away, held = weights - self.start, self.strength / len(self.starts)
        scores = self.features @ weights.astype(np.float32)
        top = np.maximum.reduceat(scores, self.starts)
        raised = np.exp(scores - top[self.row])
        total = np.add.reduceat(raised, self.starts)
        loss = float((np.log(total) + top).mean()) - float(self.own @ scores) + held * (away @ away) / 2
        slope = self.features.T @ (raised / total[self.row] / len(self.starts)) - self.sure + held * away
        return float(loss), slope.astype(np.float64)


def names(parts: Iterable[str], priors: Iterable[str], *, own: bool) -> tuple[str, ...]:
    """Names of the features that such questions have, in their order."""
    told = [f"{part}{form}" for part in parts for form in ("", " log", " log sure", *(f" log {one}" for one in ABOUT))]
    told += [name for prior_ in priors for name in (prior_, f"{prior_} share")]
    told += [f"prior {one}" for one in ABOUT]
    return tuple(told + (list(_OWN) + [f"newest {name}" for name in _OWN if name != "own back"] if own else []))


ABOUT: Final = ("length", "distinct", "support")  # of a question: what it holds, how many different, how well known
_OWN: Final = ("own", "own back", "own often", "own rate", "own prior", *(f"own {one}" for one in ABOUT))


def _features(asked: Asked, row: Ints, item: Ints, union: Ints) -> dict[str, npt.NDArray[Any]]:
    first = next(iter(asked.priors.values()))
    about = {name: values[row] for name, values in asked.about.items()}
    told: dict[str, npt.NDArray[Any]] = {}
    for name, matrix in asked.parts.items():
        peaks = np.maximum(peaks_of(matrix), 1e-9)
        share = at(matrix, union) / peaks[row]
        logged = np.log(share + FLOOR)
        told |= {name: share, f"{name} log": logged}
        told[f"{name} log sure"] = logged * np.clip(np.log(peaks) - asked.centres.get(name, 0.0), -SURE, SURE)[row]
        told |= {f"{name} log {one}": logged * values for one, values in about.items()}
    for name, known in asked.priors.items():
        told |= {name: known[item], f"{name} share": np.exp(known[item] - known.max(initial=0))}
    told |= {f"prior {one}": first[item] * values for one, values in about.items()}
    return told | (_owned(asked.own, item, union, about, first) if asked.own else {})


def _owned(own: Own, item: Ints, union: Ints, about: Mapping[str, Floats], known: Floats) -> dict[str, Floats]:
    """Features of what is offered again: whether, how lately, how often, and how such items go."""
    often = at(own.held, union)
    held = (often > 0).astype(np.float32)
    back = at(sparse.csr_array((own.back + 1, own.held.indices, own.held.indptr), shape=own.held.shape), union)
    newest = (back == 1).astype(np.float32)
    told = {
        "own": held,
        "own back": np.log(np.maximum(back, 1)),
        "own often": np.log(np.maximum(often, 1)),
        "own rate": held * own.rate[item],
        "own prior": held * known[item],
    }
    told |= {f"own {one}": held * values for one, values in about.items()}
    of_newest = {f"newest {name}": told[name] * newest for name in told if name != "own back"}
    return told | of_newest


def centres(parts: Mapping[str, sparse.csr_array]) -> dict[str, float]:
    """The mean log of the best score of each part's questions."""
    found = {name: peaks_of(matrix) for name, matrix in parts.items()}
    return {name: float(np.log(peaks[peaks > 0]).mean()) if (peaks > 0).any() else 0.0 for name, peaks in found.items()}


def keys_of(matrix: sparse.csr_array) -> Ints:
    """row x width + column of each entry; sorted when the matrix is."""
    rows: Ints = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.asarray(rows * matrix.shape[1] + matrix.indices, np.int64)


def best_keys(matrix: sparse.csr_array, deep: int) -> Ints:
    """Keys of the `deep` largest of each row."""
    keys, starts, data = keys_of(matrix), matrix.indptr, matrix.data
    kept = [
        first + np.argpartition(data[first:last], last - first - deep)[last - first - deep :]
        if last - first > deep
        else np.arange(first, last)
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    return keys[np.concatenate(kept)] if kept else keys


def at(matrix: sparse.csr_array, keys: Ints) -> Floats:
    """The values at keys, 0 where there is none."""
    own = keys_of(matrix)
    if not len(own):
        return np.zeros(len(keys), np.float32)
    places = np.minimum(np.searchsorted(own, keys), len(own) - 1)
    return np.where(own[places] == keys, matrix.data[places], 0).astype(np.float32)


def peaks_of(matrix: sparse.csr_array) -> Floats:
    """Largest value of each row, 0 where there is none."""
    filled = np.diff(matrix.indptr) > 0
    peaks = np.zeros(matrix.shape[0], np.float32)
    if filled.any():
        peaks[filled] = np.maximum.reduceat(matrix.data, matrix.indptr[:-1][filled])
    return peaks
