"""Item-to-item tables: for each item its best neighbours with weights, as one sparse matrix.

A question's score is its weights times the table. Only the KEPT largest weights of an item are stored: on the fixed
cross-sell cases of Online Retail II 100 of 3,998 lose .003 of HR@10 and 200 nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.algebra import BLOCK, affordable, blocks, each, eigenvectors, gram, invert
from recommender.arrays import FAINT, Floats, Ints, Mask
from recommender.sources.base import Candidates, Query, best, rows_of
from recommender.sources.touched import gathered, led_to
from recommender.trail import Trail

KEPT: Final = 200  # neighbours of an item
ROOM: Final = 1_000_000  # weights of a table, where KEPT of each item are fewer
ROUNDING: Final = 1e-4  # share of a row's largest weight below which singular vectors say nothing
DAMPING: Final = 10  # people added to each item before singular values are looked for
ENTRIES: Final = 200_000  # of a trail at a time
DENSE: Final = 256  # rows of 10,000 at a time: with their order 40 MB in each thread


def room(width: int) -> int:
    """Neighbours kept of each of `width` items."""
    return min(max(KEPT, ROOM // max(width, 1)), width)


def table(blocks: list[sparse.csr_array], width: int) -> sparse.csr_array:
    """The stacked blocks as one table of `width` items."""
    if not blocks:
        return sparse.csr_array((width, width), dtype=np.float32)
    stacked = sparse.vstack(blocks, format="csr").astype(np.float32)
    stacked.sort_indices()
    return stacked


def largest(matrix: sparse.csr_array, kept: int, offerable: Mask, first: int = 0) -> sparse.csr_array:
    """Each row's `kept` largest positive weights among offerable items, of equals the most popular ones, never the item
    itself. `first` is the item of the matrix's row 0.
    """
    matrix.sort_indices()
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    usable = (matrix.data > 0) & offerable[matrix.indices] & (matrix.indices != first + rows)
    rows, items, weights = rows[usable], matrix.indices[usable], matrix.data[usable]
    sizes = np.bincount(rows, minlength=matrix.shape[0])
    chosen = _most(weights, sizes, kept)
    starts = np.concatenate([[0], np.cumsum(np.minimum(sizes, kept))])
    return sparse.csr_array((weights[chosen], items[chosen], starts), shape=matrix.shape)


def _most(weights: npt.NDArray[Any], sizes: Ints, kept: int) -> Mask:
    """Of each run of `sizes` weights the `kept` largest, of equals the first."""
    chosen = np.ones(len(weights), bool)
    starts = np.cumsum(sizes) - sizes
    long = np.flatnonzero(sizes > kept)
    long = long[np.argsort(sizes[long])]  # runs of about one length together, so that little is filled up
    for some in np.array_split(long, -(-int(sizes[long].sum()) // ENTRIES)) if len(long) else []:
        places = np.arange(sizes[some].max())
        filled = places < sizes[some][:, None]
        at = np.where(filled, starts[some][:, None] + places, 0)
        values = np.where(filled, weights[at], -1)
        least = np.partition(values, -kept, axis=1)[:, -kept, None]
        above, equal = values > least, values == least
        told = above | (equal & (np.cumsum(equal, axis=1) <= kept - above.sum(axis=1, keepdims=True)))
        chosen[at[filled]] = told[filled]
    return chosen


def nearest(matrix: sparse.csr_array, offerable: Mask) -> sparse.csr_array:
    """Each item's KEPT largest inner products with the other columns that may be offered."""
    return strongest(similar(matrix), offerable, KEPT)


def similar(matrix: sparse.csr_array) -> sparse.csr_array:
    """Each item's largest inner products with the columns, itself among them and with room for what may not be offered;
    by implicit in parallel: 4 s for 1 M rows x 100 k items.
    """
    from implicit.nearest_neighbours import all_pairs_knn  # noqa: PLC0415  # training only

    if not matrix.nnz:
        return sparse.csr_array((matrix.shape[1], matrix.shape[1]), dtype=np.float32)
    asked = sparse.csr_matrix(matrix, dtype=np.float64)  # float32 is refused, and so are indices of 64 bits
    asked.indptr, asked.indices = asked.indptr.astype(np.int32), asked.indices.astype(np.int32)
    found = all_pairs_knn(asked, 2 * KEPT, show_progress=False)
    found.data = found.data.astype(np.float32)  # at once: as many take 320 MB of 100,000 items in eight bytes
    return sparse.csr_array(found)


class Ridge(NamedTuple):
    """How much EASE is held back: l2 added to the diagonal of X'X, or so many times its mean where `relative`; dropout
    times its own diagonal; alike times that mean where items are wholly alike.
    """

    l2: float
    relative: bool = False
    dropout: float = 0.0
    alike: float = 0.0


def ease(
    matrix: sparse.csr_array, head: int, ridge: Ridge, offerable: Mask, features: sparse.csr_array | None = None
) -> sparse.csr_array:
    """EASE on the `head` most popular items (H. Steck, Embarrassingly Shallow Autoencoders, WWW 2019):
    B = I - P / diag(P), P = inverse of (X'X + l2 I). 10,000 items: 10 s of one core and 600 MB.
    Dropout as in H. Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020; items whose `features`
    (items x features, rows of length 1) are alike count as if they had been held together.
    """
    width = matrix.shape[1]
    shared = np.flatnonzero(np.bincount(matrix.indices, minlength=width) > 1)  # who is alone teaches nothing
    head = affordable(min(head, int(shared[-1]) + 1 if len(shared) else 0))
    if not head:
        return sparse.csr_array((width, width), dtype=np.float32)
    inverse = gram(matrix[:, :head])
    own = np.diag(inverse).copy()
    mean = float(own[own > 0].mean())
    if features is not None and ridge.alike:
        known = features[:head] * np.float32(math.sqrt(ridge.alike * mean))
        inverse += (known @ known.T).toarray()
        own = np.diag(inverse).copy()
    inverse[np.diag_indices(head)] = own * (1 + ridge.dropout) + ridge.l2 * (mean if ridge.relative else 1)
    invert(inverse)  # it can: l2 > 0, and X'X and cosines are not negative
    scale, usable = -1 / np.diag(inverse), offerable[:head]

    def speaking(rows: slice) -> sparse.csr_array:
        """What is farthest from 0: what speaks against an item is worth .004 of nDCG@10 on MovieLens 100K."""
        weights = np.asarray(inverse[rows] * scale, np.float32)
        weights[:, ~usable] = 0
        weights[np.arange(len(weights)), np.arange(rows.start, rows.stop)] = 0
        return heaviest(weights)

    found = table(each(speaking, blocks(head, DENSE)), head)
    found.resize((width, width))
    return found


def sequence(
    trail: Trail, offerable: Mask, *, reach: int, shrink: float, power: float, after: float = 1, back: float = 0
) -> sparse.csr_array:
    """items x items, the largest of each: `after`/g for each time the other one came g <= `reach` steps later in a row,
    `back`/g for each time it came earlier, over ((n_i + shrink) (n_j + shrink)) ** power, n being how often each was
    done. A few items at a time: the whole of it has a hundred entries for each of the trail.
    """
    width, items = len(offerable), trail.items
    count = np.bincount(items, minlength=width)
    scale = (np.maximum(count + shrink, 1) ** -power).astype(np.float32)
    places = np.argsort(items, kind="stable")  # of each item, one item after the other
    ends = np.cumsum(count)
    rows = trail.rows.astype(np.int32)
    steps = {side * gap: weight / gap for gap in range(1, reach + 1) for side, weight in ((1, after), (-1, back))}
    near = np.array([gap for gap, weight in steps.items() if weight])
    weights = np.array([weight for weight in steps.values() if weight], np.float32)

    def met(some: slice) -> sparse.csr_array:
        first = int(ends[some.start] - count[some.start])
        mine = places[first : ends[some.stop - 1]]
        other = mine[:, None] + near
        inside = (other >= 0) & (other < len(items))
        inside &= rows[other * inside] == rows[mine][:, None]
        starts = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
        values = np.broadcast_to(weights, inside.shape)[inside]
        reached = sparse.csr_array((values, items[other[inside]], starts), shape=(len(mine), width))
        own = np.concatenate([[0], ends[some] - first])
        held = sparse.csr_array(
            (np.ones(len(mine), np.float32), np.arange(len(mine)), own), shape=(len(own) - 1, len(mine))
        )
        found = sparse.csr_array(held @ reached)
        found.data *= np.repeat(scale[some], np.diff(found.indptr)) * scale[found.indices]
        return largest(found, room(width), offerable, some.start)

    return table(each(met, _evenly(ends)), width)


def _evenly(ends: Ints) -> list[slice]:
    """The items a few at a time, ENTRIES of the trail or BLOCK items; `ends` of their entries."""
    edges = np.searchsorted(ends, np.arange(ENTRIES, int(ends[-1]) if len(ends) else 0, ENTRIES))
    edges = np.unique(np.concatenate([np.arange(0, len(ends), BLOCK), edges, [len(ends)]]))
    return [slice(int(first), int(last)) for first, last in pairwise(edges)]


def spectral(
    matrix: sparse.csr_array, head: int, offerable: Mask, *, factors: int, inner: float, outer: float, seed: int
) -> sparse.csr_array:
    """items x items: inner products of the first right singular vectors of rows of length 1, columns scaled by
    (n + 10) ** -inner, of the `head` most popular items; `outer` gives popular ones their weight back (P. Cremonesi et
    al., PureSVD, RecSys 2010, with popularity damped).
    """
    width, head = matrix.shape[1], affordable(min(head, matrix.shape[1]))
    x = matrix[:, :head]
    count = np.bincount(x.indices, minlength=head) + DAMPING
    factors = min(factors, min(x.shape) - 1)
    if factors < 1 or not x.nnz:
        return sparse.csr_array((width, width), dtype=np.float32)
    length = np.maximum(np.diff(x.indptr), 1) ** -0.5
    scaled = x.data * np.repeat(length, np.diff(x.indptr)) * (count**-inner)[x.indices]
    vectors = eigenvectors(gram(sparse.csr_array((scaled, x.indices, x.indptr), shape=x.shape)), factors, seed)
    left = (vectors * (count**-inner)[:, None]).astype(np.float32)
    right = (vectors * (count**outer)[:, None]).T.astype(np.float32)

    def speaking(rows: slice) -> sparse.csr_array:
        return _top(left[rows] @ right, rows.start, offerable[:head])

    found = table(each(speaking, blocks(head, DENSE)), head)
    found.resize((width, width))
    return found


def heaviest(scores: Floats) -> sparse.csr_array:
    """The weights of each row that are farthest from 0."""
    height, width = scores.shape
    kept = room(width)
    items = np.sort(np.argpartition(np.abs(scores), width - kept, axis=1)[:, width - kept :], axis=1)
    weights = np.take_along_axis(scores, items, axis=1)
    used = weights != 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return sparse.csr_array((weights[used], items[used], starts), shape=(height, width))


def _top(scores: Floats, first: int, offerable: Mask) -> sparse.csr_array:
    """The largest positive ones of each row, never its own; `first` is the item of row 0."""
    height = len(scores)
    scores[:, ~offerable] = 0
    scores[np.arange(height), np.arange(first, first + height)] = 0
    peaks = scores.max(axis=1, initial=0)
    scores[scores < ROUNDING * np.maximum(peaks, FAINT)[:, None]] = 0
    return heaviest(scores)


def blend(
    strong: sparse.csr_array, broad: sparse.csr_array, share: float, offerable: Mask, *, asked: bool = True
) -> sparse.csr_array:
    """One table of two: each scaled to a mean largest weight of 1, `broad` counted by `share`; an empty one unless it
    is `asked` for.

    What only `broad` knows (the tail of a large catalogue) stays below what both know; what speaks against is left out.
    """
    if not asked:
        return sparse.csr_array(strong.shape, dtype=np.float32)
    scale, other = _scale(strong), share * _scale(broad)

    def both(rows: slice) -> sparse.csr_array:
        return sparse.csr_array(strong[rows].maximum(0) * scale + broad[rows] * other)

    return strongest_of(both, offerable)


def strongest(matrix: sparse.csr_array, offerable: Mask, kept: int = 0) -> sparse.csr_array:
    """The largest positive weights of each item, never its own; as many as there is room for, unless said."""
    return strongest_of(lambda rows: matrix[rows], offerable, kept)


def strongest_of(weights: Callable[[slice], sparse.csr_array], offerable: Mask, kept: int = 0) -> sparse.csr_array:
    """The same of what `weights` makes of some items: what it reckons is there for a block at a time."""
    width = len(offerable)
    some = each(lambda rows: largest(weights(rows), kept or room(width), offerable, rows.start), blocks(width))
    return table(some, width)


def peaked(matrix: sparse.csr_array) -> sparse.csr_array:
    """Each row scaled to a largest weight of 1."""
    if not matrix.nnz:
        return matrix
    peaks = matrix.max(axis=1).toarray().ravel()
    return sparse.csr_array(matrix * (1 / np.where(peaks > 0, peaks, 1))[:, None])


def candidates(weights: sparse.csr_array, neighbours: sparse.csr_array, query: Query, n: int) -> Candidates:
    """The n best of `weights` x `neighbours` for each question."""
    found = Candidates.empty(len(query), n)
    for row, (given, (barred, _)) in enumerate(zip(rows_of(weights), rows_of(query.excluded), strict=True)):
        items, [scores] = gathered([led_to(neighbours, given)], query.allowed, barred)
        found.put(row, *best(items[scores > 0], scores[scores > 0], n))
    return found


def first_of(wanted: sparse.csr_array, otherwise: sparse.csr_array) -> sparse.csr_array:
    """The rows of `wanted`, and those of `otherwise` where they are empty."""
    empty = np.diff(wanted.indptr) == 0
    return sparse.csr_array(wanted + otherwise * empty[:, None]) if empty.any() else wanted


def parts(table: sparse.csr_array, given: npt.NDArray[Any], weights: npt.NDArray[Any], items: Ints) -> Floats:
    """given x items: what each of `given` adds to the score of each item."""
    part = np.zeros((len(given), len(items)), np.float32)
    for place, (start, end) in enumerate(zip(table.indptr[given], table.indptr[given + 1], strict=True)):
        if start < end:
            columns = table.indices[start:end]
            at = columns.searchsorted(items)
            found = columns.take(at, mode="clip") == items
            part[place, found] = table.data[start:end][at[found]]
    return part * np.asarray(weights, np.float32)[:, None]


def loudest(given: npt.NDArray[Any], part: Floats, most: int) -> list[tuple[int, ...]]:
    """For each item (column of `part`) up to `most` of `given` that add most."""
    order = (-part).argsort(axis=0, kind="stable")[:most]
    added = np.take_along_axis(part, order, axis=0)
    columns = zip(given[order].T.tolist(), added.T.tolist(), strict=True)
    return [tuple(item for item, value in zip(*column, strict=True) if value > 0) for column in columns]


def pack(matrix: sparse.csr_array) -> dict[str, npt.NDArray[Any]]:
    """The three arrays of a table."""
    return {
        "starts": matrix.indptr.astype(_kind(matrix.nnz)),
        "items": matrix.indices.astype(np.int32),
        "weights": matrix.data.astype(np.float32),
    }


def unpack(starts: npt.NDArray[Any], items: npt.NDArray[Any], weights: npt.NDArray[Any]) -> sparse.csr_array:
    """The table of three arrays, without copying."""
    width = len(starts) - 1
    matrix = sparse.csr_array((width, width), dtype=np.float32)
    matrix.indptr, matrix.indices, matrix.data = starts.astype(_kind(len(items)), copy=False), items, weights
    return matrix


def _kind(entries: int) -> type[np.signedinteger[Any]]:
    """Of the integers that count so many."""
    return np.int32 if entries < 2**31 else np.int64


def _scale(matrix: sparse.csr_array) -> np.float32:
    """By which the mean largest weight becomes 1."""
    peaks: Floats = matrix.max(axis=1).toarray().ravel() if matrix.nnz else np.ones(1, np.float32)
    peaks = peaks[peaks > 0]
    return np.float32(1 / peaks.mean() if len(peaks) else 1)
