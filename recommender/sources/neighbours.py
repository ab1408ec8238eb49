"""Item-to-item tables: for each item its best neighbours with weights, as one sparse matrix.

A question's score is its weights times the table. Only the KEPT largest weights of an item are stored: on the fixed
cross-sell cases of Online Retail II 100 of 3,998 lose .003 of HR@10 and 200 nothing.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from recommender.arrays import FAINT, Floats, Ints, Mask
from recommender.sources.base import Candidates, Query, best, row_of, rows_of
from recommender.trail import Trail

KEPT: Final = 200  # neighbours of an item
ROOM: Final = 1_000_000  # weights of a table, where KEPT of each item are fewer
ROUNDING: Final = 1e-4  # share of a row's largest weight below which singular vectors say nothing
DAMPING: Final = 10  # people added to each item before singular values are looked for
BLOCK: Final = 1024  # rows at a time: bounds memory to a few times BLOCK x items x 8 bytes


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
    """Each row's `kept` largest positive weights among offerable items, never the item itself.

    `first` is the item of the matrix's row 0.
    """
    items, weights, starts = [], [], [0]
    for row, (columns, values) in enumerate(rows_of(matrix)):
        usable = (values > 0) & offerable[columns] & (columns != first + row)
        found, weight = best(columns[usable], values[usable], kept)
        items.append(found)
        weights.append(weight)
        starts.append(starts[-1] + len(found))
    data = (np.concatenate(weights), np.concatenate(items), np.array(starts)) if items else ([], [], [0])
    return sparse.csr_array(data, shape=matrix.shape)


def nearest(matrix: sparse.csr_array, offerable: Mask) -> sparse.csr_array:
    """Each item's KEPT largest inner products with the other columns, by implicit in parallel: 4 s for 1 M rows x
    100 k items.
    """
    from implicit.nearest_neighbours import ItemItemRecommender  # noqa: PLC0415  # training only

    if not matrix.nnz:
        return sparse.csr_array((matrix.shape[1], matrix.shape[1]), dtype=np.float32)
    model = ItemItemRecommender(K=2 * KEPT)  # room for what may not be offered
    asked = sparse.csr_matrix(matrix, dtype=np.float64)  # float32 is refused, and so are indices of 64 bits
    asked.indptr, asked.indices = asked.indptr.astype(np.int32), asked.indices.astype(np.int32)
    model.fit(asked, show_progress=False)
    return largest(sparse.csr_array(model.similarity), KEPT, offerable)


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
    B = I - P / diag(P), P = inverse of (X'X + l2 I). 10,000 items: 15 s and 1.9 GB; memory grows with head squared.
    Dropout as in H. Steck, Autoencoders that don't overfit towards the Identity, NeurIPS 2020; items whose `features`
    (items x features, rows of length 1) are alike count as if they had been held together.
    """
    width = matrix.shape[1]
    shared = np.flatnonzero(np.diff(sparse.csc_array(matrix).indptr) > 1)  # who is alone in a column teaches nothing
    head = min(head, int(shared[-1]) + 1 if len(shared) else 0)
    if not head:
        return sparse.csr_array((width, width), dtype=np.float32)
    x = matrix[:, :head]
    gram: Floats = (x.T @ x).toarray(order="F").astype(np.float32, copy=False)
    own = np.diag(gram).copy()
    mean = float(own[own > 0].mean())
    if features is not None and ridge.alike:
        known = features[:head] * np.float32(math.sqrt(ridge.alike * mean))
        gram += (known @ known.T).toarray()
        own = np.diag(gram).copy()
    gram[np.diag_indices(head)] = own * (1 + ridge.dropout) + ridge.l2 * (mean if ridge.relative else 1)
    with threadpool_limits(1):  # several BLAS threads wait for one another on a busy machine: 3,000 items .8 s or 15 s
        factor, failed = linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
        inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:  # not positive definite: cannot happen with l2 > 0, finite weights: X'X and cosines are not negative
        raise ArithmeticError("EASE met weights that are not finite.")
    starts = range(0, head, BLOCK)
    found = table([_strongest(inverse, slice(first, first + BLOCK), offerable[:head]) for first in starts], head)
    found.resize((width, width))
    return found


def _strongest(inverse: Floats, block: slice, offerable: Mask) -> sparse.csr_array:
    """EASE's weights of some rows that are farthest from 0, from the lower triangle of P: what speaks against an item
    is worth .004 of nDCG@10 on MovieLens 100K.
    """
    first, last = block.start, min(block.stop, len(inverse))
    own = inverse[first:last, first:last]
    rows = np.hstack([inverse[first:last, :first], np.tril(own) + np.tril(own, -1).T, inverse[last:, first:last].T])
    rows /= -np.diag(inverse)
    rows[:, ~offerable] = 0
    rows[np.arange(last - first), np.arange(first, last)] = 0
    return heaviest(rows)


def sequence(trail: Trail, width: int, *, reach: int, back: float, shrink: float, power: float) -> sparse.csr_array:
    """items x items: 1/g for each time one came g <= `reach` steps before the other in a row, `back` times as much the
    other way round, over ((n_i + shrink) (n_j + shrink)) ** power, n being how often each was done.
    """
    total = sparse.csr_array((width, width), dtype=np.float32)
    items, rows = trail.items, trail.rows
    for gap in range(1, min(reach, len(items) - 1) + 1):
        near = rows[:-gap] == rows[gap:]
        given, then = items[:-gap][near], items[gap:][near]
        total = total + sparse.csr_array((np.full(len(given), 1 / gap, np.float32), (given, then)), shape=total.shape)
    count = np.bincount(items, minlength=width)
    scale = (np.maximum(count + shrink, 1) ** -power).astype(np.float32)
    both = sparse.csr_array(total + np.float32(back) * total.T)
    return sparse.csr_array(both * scale[:, None] * scale[None, :])


def spectral(
    matrix: sparse.csr_array, head: int, offerable: Mask, *, factors: int, inner: float, outer: float, seed: int
) -> sparse.csr_array:
    """items x items: inner products of the first right singular vectors of rows of length 1, columns scaled by
    (n + 10) ** -inner, of the `head` most popular items; `outer` gives popular ones their weight back (P. Cremonesi et
    al., PureSVD, RecSys 2010, with popularity damped).
    """
    width, head = matrix.shape[1], min(head, matrix.shape[1])
    x = matrix[:, :head]
    count = np.diff(sparse.csc_array(x).indptr) + DAMPING
    factors = min(factors, min(x.shape) - 1)
    if factors < 1 or not x.nnz:
        return sparse.csr_array((width, width), dtype=np.float32)
    length = np.maximum(np.diff(x.indptr), 1) ** -0.5
    scaled = sparse.csr_array(x * length[:, None] * (count**-inner)[None, :])
    _, _, vectors = svds(scaled.astype(np.float64), k=factors, rng=seed)
    left = (vectors * count**-inner).T.astype(np.float32)
    right = (vectors * count**outer).astype(np.float32)
    rows = [_top(left[first : first + BLOCK] @ right, first, offerable[:head]) for first in range(0, head, BLOCK)]
    found = table(rows, head)
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


def blend(strong: sparse.csr_array, broad: sparse.csr_array, share: float, offerable: Mask) -> sparse.csr_array:
    """One table of two: each scaled to a mean largest weight of 1, `broad` counted by `share`.

    What only `broad` knows (the tail of a large catalogue) stays below what both know; what speaks against is left out.
    """
    return strongest(sparse.csr_array(_scaled(strong.maximum(0)) + share * _scaled(broad)), offerable)


def strongest(matrix: sparse.csr_array, offerable: Mask) -> sparse.csr_array:
    """The largest positive weights of each item, never its own."""
    starts = range(0, matrix.shape[0], BLOCK)
    kept = room(matrix.shape[1])
    return table([largest(matrix[first : first + BLOCK], kept, offerable, first) for first in starts], matrix.shape[1])


def peaked(matrix: sparse.csr_array) -> sparse.csr_array:
    """Each row scaled to a largest weight of 1."""
    if not matrix.nnz:
        return matrix
    peaks = matrix.max(axis=1).toarray().ravel()
    return sparse.csr_array(matrix * (1 / np.where(peaks > 0, peaks, 1))[:, None])


def candidates(weights: sparse.csr_array, neighbours: sparse.csr_array, query: Query, n: int) -> Candidates:
    """The n best of `weights` x `neighbours` for each question."""
    found = Candidates.empty(len(query), n)
    for first in range(0, len(query), BLOCK):
        scores = weights[first : first + BLOCK] @ neighbours
        excluded = query.excluded[first : first + BLOCK]
        for row, ((columns, values), (barred, _)) in enumerate(zip(rows_of(scores), rows_of(excluded), strict=True)):
            usable = query.allowed[columns] & (values > 0)
            if len(barred):
                usable &= ~np.isin(columns, barred)
            found.put(first + row, *best(columns[usable], values[usable], n))
    return found


def first_of(wanted: sparse.csr_array, otherwise: sparse.csr_array) -> sparse.csr_array:
    """The rows of `wanted`, and those of `otherwise` where they are empty."""
    empty = np.diff(wanted.indptr) == 0
    return sparse.csr_array(wanted + otherwise * empty[:, None]) if empty.any() else wanted


def parts(table: sparse.csr_array, given: npt.NDArray[Any], weights: npt.NDArray[Any], items: Ints) -> Floats:
    """given x items: what each of `given` adds to the score of each item."""
    part = np.zeros((len(given), len(items)), np.float32)
    for place, (item, weight) in enumerate(zip(given, weights, strict=True)):
        columns, values = row_of(table, item)
        if len(columns):
            at = np.minimum(np.searchsorted(columns, items), len(columns) - 1)
            part[place] = np.where(columns[at] == items, values[at] * weight, 0)
    return part


def loudest(given: npt.NDArray[Any], part: Floats, most: int) -> tuple[int, ...]:
    """Up to `most` of `given` that add most."""
    order = np.argsort(-part, kind="stable")[:most]
    return tuple(int(given[place]) for place in order if part[place] > 0)


def pack(matrix: sparse.csr_array) -> dict[str, npt.NDArray[Any]]:
    """The three arrays of a table."""
    return {
        "starts": matrix.indptr.astype(np.int64),
        "items": matrix.indices.astype(np.int32),
        "weights": matrix.data.astype(np.float32),
    }


def unpack(starts: npt.NDArray[Any], items: npt.NDArray[Any], weights: npt.NDArray[Any]) -> sparse.csr_array:
    """The table of three arrays, without copying."""
    width = len(starts) - 1
    kind = np.int32 if len(items) < 2**31 else np.int64
    matrix = sparse.csr_array((width, width), dtype=np.float32)
    matrix.indptr, matrix.indices, matrix.data = starts.astype(kind), items, weights
    return matrix


def _scaled(matrix: sparse.csr_array) -> sparse.csr_array:
    peaks: Floats = matrix.max(axis=1).toarray().ravel() if matrix.nnz else np.ones(1, np.float32)
    peaks = peaks[peaks > 0]
    return matrix * np.float32(1 / peaks.mean()) if len(peaks) else matrix
