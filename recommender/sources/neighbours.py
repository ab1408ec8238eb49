"""Item-to-item tables: for each item its best neighbours with weights, as one sparse matrix.

A question's score is its weights times the table. Only the KEPT largest weights of an item are stored: on the fixed
cross-sell cases of Online Retail II EASE keeps HR@10 .333 of .336 with 100 of 3,998.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from recommender.interactions import Floats, Mask
from recommender.sources.base import Candidates, Query, best, rows_of

KEPT: Final = 100  # neighbours of an item
BLOCK: Final = 1024  # rows at a time: bounds memory to a few times BLOCK x items x 8 bytes


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
    model.fit(sparse.csr_matrix(matrix, dtype=np.float64), show_progress=False)  # float32 is refused
    return largest(sparse.csr_array(model.similarity), KEPT, offerable)


def ease(matrix: sparse.csr_array, head: int, l2: float, offerable: Mask) -> sparse.csr_array:
    """EASE on the `head` most popular items (H. Steck, Embarrassingly Shallow Autoencoders, WWW 2019):
    B = I - P / diag(P), P = inverse of (X'X + l2 I). 10,000 items: 15 s and 1.9 GB; memory grows with head squared.
    """
    width = matrix.shape[1]
    shared = np.flatnonzero(np.diff(sparse.csc_array(matrix).indptr) > 1)  # who is alone in a column teaches nothing
    head = min(head, int(shared[-1]) + 1 if len(shared) else 0)
    if not head:
        return sparse.csr_array((width, width), dtype=np.float32)
    x = matrix[:, :head]
    gram: Floats = (x.T @ x).toarray(order="F")
    gram[np.diag_indices(head)] += l2
    with threadpool_limits(1):  # several BLAS threads wait for one another on a busy machine: 3,000 items .8 s or 15 s
        factor, failed = linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
        inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:  # not positive definite: cannot happen with l2 > 0 and finite weights
        raise ArithmeticError("EASE met weights that are not finite.")
    starts = range(0, head, BLOCK)
    found = table([_strongest(inverse, slice(first, first + BLOCK), offerable[:head]) for first in starts], head)
    found.resize((width, width))
    return found


def _strongest(inverse: Floats, block: slice, offerable: Mask) -> sparse.csr_array:
    """EASE's KEPT largest weights of some rows, from the lower triangle of P."""
    first, last, width = block.start, min(block.stop, len(inverse)), len(inverse)
    own = inverse[first:last, first:last]
    rows = np.hstack([inverse[first:last, :first], np.tril(own) + np.tril(own, -1).T, inverse[last:, first:last].T])
    rows /= -np.diag(inverse)
    rows[:, ~offerable] = 0
    rows[np.arange(last - first), np.arange(first, last)] = 0
    kept = min(KEPT, width)
    items = np.sort(np.argpartition(rows, width - kept, axis=1)[:, width - kept :], axis=1)
    weights = np.take_along_axis(rows, items, axis=1)
    used = weights > 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return sparse.csr_array((weights[used], items[used], starts), shape=rows.shape)


def blend(strong: sparse.csr_array, broad: sparse.csr_array, share: float, offerable: Mask) -> sparse.csr_array:
    """One table of two: each scaled to a mean largest weight of 1, `broad` counted by `share`.

    What only `broad` knows (the tail of a large catalogue) stays below what both know.
    """
    mixed = sparse.csr_array(_scaled(strong) + share * _scaled(broad))
    starts = range(0, mixed.shape[0], BLOCK)
    return table([largest(mixed[first : first + BLOCK], KEPT, offerable, first) for first in starts], mixed.shape[1])


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
