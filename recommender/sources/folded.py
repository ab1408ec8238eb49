"""The weights of a blend, folded into what they multiply.

Features of candidates are written down where weights are learned (recommender.blend). Where they are only added up,
most of them need not be: what does not depend on the question is one number of each item, and what depends on it alone
is one factor of each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from recommender.arrays import Floats, Ints
from recommender.blend import ABOUT, DEEP, FLOOR, SURE, Asked, at, best_keys, peaks_of


class Said(NamedTuple):
    """What parts say of m candidates of q questions. row and item: m; scores: parts x m, 0 where a part says nothing;
    peaks: parts x q, the best of each question; about: len(ABOUT) x q.
    """

    row: Ints
    item: npt.NDArray[Any]
    scores: Floats
    peaks: Floats
    about: Floats

    @classmethod
    def of(cls, asked: Asked, width: int) -> Said:
        """The union of what each part finds best, and what each says of all of them; see blend.choices."""
        parts = list(asked.parts.values())
        keys = np.unique(np.concatenate([best_keys(part, DEEP) for part in parts]))
        scores, peaks = (
            np.stack(found) for found in ([at(part, keys) for part in parts], [peaks_of(part) for part in parts])
        )
        return cls(keys // width, keys % width, scores, peaks, np.stack(list(asked.about.values())))

    @property
    def starts(self) -> Ints:
        """q + 1: where the candidates of each question begin."""
        return np.searchsorted(self.row, np.arange(self.peaks.shape[1] + 1)).astype(np.int64)


@dataclass(frozen=True)
class Folded:
    """share, log, sure and centre: of each part; about: parts x ABOUT; item: n, what each item is worth to anybody;
    known: n, how well known each is, which counts by known_about as far as ABOUT says so.
    """

    share: Floats
    log: Floats
    sure: Floats
    centre: Floats
    about: Floats
    item: Floats
    known: Floats
    known_about: Floats

    @classmethod
    def of(
        cls,
        parts: Sequence[str],
        priors: Mapping[str, Floats],
        weights: Mapping[str, float],
        centres: Mapping[str, float],
    ) -> Self:
        """The weights, by the names of their features (blend.names)."""

        def told(names: Sequence[str]) -> Floats:
            return np.array([weights.get(name, 0.0) for name in names], np.float32)

        first = next(iter(priors.values()))
        item = np.zeros(len(first), np.float32)
        for name, known in priors.items():
            item += np.float32(weights.get(name, 0.0)) * known
            item += np.float32(weights.get(f"{name} share", 0.0)) * np.exp(known - known.max(initial=0))
        return cls(
            share=told(parts),
            log=told([f"{part} log" for part in parts]),
            sure=told([f"{part} log sure" for part in parts]),
            centre=np.array([centres.get(part, 0.0) for part in parts], np.float32),
            about=np.stack([told([f"{part} log {one}" for part in parts]) for one in ABOUT], axis=1),
            item=item,
            known=first,
            known_about=told([f"prior {one}" for one in ABOUT]),
        )

    def scores(self, said: Said) -> Floats:
        """What the weights make of each candidate."""
        peaks = np.maximum(said.peaks, np.float32(1e-9))
        sure = np.clip(np.log(peaks) - self.centre[:, None], -SURE, SURE)
        log = self.log[:, None] + self.sure[:, None] * sure + self.about @ said.about
        known = self.known_about @ said.about
        row = said.row if len(known) > 1 else 0  # factors of the only question are of all candidates
        share = said.scores / peaks[:, row].reshape(len(peaks), -1)
        logged = log[:, row].reshape(len(log), -1) * np.log(share + np.float32(FLOOR))
        found = self.share @ share + logged.sum(axis=0) + known[row] * self.known[said.item] + self.item[said.item]
        return np.asarray(found, np.float32)
