"""What items are like: words of the title, levels of the category, brand and band of price, as weighted features.

For whoever is new in the shop or looked at something that hardly anybody bought, and for what may stand in place of an
item: what people do counts n / (n + HALF_KNOWN) as much as what items are like.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import Floats
from recommender.interactions import Interactions, Items, once
from recommender.sources import neighbours

HALF_KNOWN: Final = 10  # visits at which what people do counts half of what it does at most
COMMON: Final = 0.2  # share of the items from which a feature tells nothing, in shops of FEW items or more,
MANY: Final = 5_000  # and how many: comparing items takes the square of it
FEW: Final = 50
WEIGHTS: Final = {"word": 1.0, "category": 1.0, "brand": 0.7, "price": 0.5}
BANDS: Final = 2  # bands of price in a doubling

_WORDS: Final = re.compile(r"[^\W_]+")
_JOINED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}")  # written without spaces


@once
def alike(interactions: Interactions) -> sparse.csr_array:
    """items x items: cosine of features, the KEPT most similar offerable ones of each."""
    rows = interactions.rows
    found = _alike(interactions.items)[rows]
    found.indices = np.argsort(rows).astype(np.int32)[found.indices]
    return neighbours.strongest(found, interactions.offerable, neighbours.KEPT)


def described(interactions: Interactions) -> sparse.csr_array:
    """The features of each number."""
    return _described(interactions.items)[interactions.rows]


@once
def _alike(items: Items) -> sparse.csr_array:
    return neighbours.similar(sparse.csr_array(_described(items).T))


@once
def _described(items: Items) -> sparse.csr_array:
    """Words take 30 us for each item, and all parts of the history are about the same items."""
    return features(items)


def features(items: Items) -> sparse.csr_array:
    """items x features, rows of length 1: logarithmic inverse frequency times the WEIGHTS of the kind."""
    vocabulary: dict[tuple[str, str], int] = {}
    rows, columns = [], []
    for row, told in enumerate(_told(items)):
        found = {vocabulary.setdefault(feature, len(vocabulary)) for feature in told}
        rows += [row] * len(found)
        columns += sorted(found)
    shape = (len(items.ids), len(vocabulary))
    counts = sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    weight = _weights(counts, np.array([WEIGHTS[kind] for kind, _ in vocabulary], np.float32))
    weighted = sparse.csr_array(counts * weight[None, :])
    weighted.eliminate_zeros()
    norm: Floats = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    return sparse.csr_array(weighted * (1 / np.maximum(norm, 1e-9))[:, None]).astype(np.float32)


def known(seen: npt.NDArray[np.int32]) -> Floats:
    """How much what people do says of each item, in [0, 1), given in how many visits it was."""
    return (seen / (seen + HALF_KNOWN)).astype(np.float32)


def _weights(counts: sparse.csr_array, kinds: Floats) -> Floats:
    size = counts.shape[0]
    frequency = counts.sum(axis=0)
    telling = (frequency > 1) & ((frequency <= min(COMMON * size, MANY)) | (size < FEW))
    return np.where(telling, kinds * np.log(size / np.maximum(frequency, 1)), 0).astype(np.float32)


def _told(items: Items) -> Iterator[set[tuple[str, str]]]:
    """The features of each item."""
    rows = zip(items.titles, items.categories, items.brands, items.prices.tolist(), strict=True)
    for title, category, brand, price in rows:
        told = {("word", word) for word in words(title)} | {("category", path) for path in levels(category)}
        if brand:
            told.add(("brand", brand.casefold()))
        if price > 0:
            told.add(("price", str(round(math.log2(price) * BANDS))))
        yield told


def words(title: str) -> set[str]:
    """Words in small letters; of text without spaces every two neighbouring signs."""
    found: set[str] = set()
    for word in _WORDS.findall(unicodedata.normalize("NFKC", title).casefold()):
        for run in _JOINED.findall(word):
            found |= {run[place : place + 2] for place in range(len(run) - 1)}
        found |= set(_JOINED.sub(" ", word).split())
    return found


def levels(category: str) -> list[str]:
    """The path and all above it."""
    parts = [part for part in category.casefold().split(" > ") if part]
    return [" > ".join(parts[: depth + 1]) for depth in range(len(parts))]
