"""Large matrices a block at a time, several blocks at once.

NumPy and SciPy let go of the interpreter while they reckon, so threads are enough. BLAS's own threads stay off
meanwhile: they wait for one another by spinning, and on a busy machine 3,000 items took .8 s or 15 s.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, eigsh
from threadpoolctl import threadpool_limits

from recommender.arrays import Floats

THREADS: Final = min(os.cpu_count() or 1, 8)
BLOCK: Final = 1024  # rows at a time
LEAF: Final = 2048  # rows of a matrix that LAPACK inverts in one go
EXACT: Final = 1e-6  # share of an eigenvalue by which it may be off
M_ARENA_MAX: Final = -8  # of mallopt
ARENAS: Final = 4
SHARE: Final = 8  # the largest dense matrix and what it takes beside may fill one such part of the machine's memory

Given = TypeVar("Given")
Made = TypeVar("Made")


def each(make: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    """What `make` makes of each, in order, THREADS at a time."""
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(make, given))


def blocks(count: int, size: int = BLOCK) -> list[slice]:
    """The numbers below `count`, `size` at a time."""
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def few_arenas() -> None:
    """Let all threads share ARENAS heaps; to be called before there are threads. glibc makes eight for each core, and
    of each the end stays when all is let go: .4 GiB of a training at 16 million interactions.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return memory that was let go to the system: glibc keeps it for its threads, a gigabyte after EASE, and Arrow
    what it read.
    """
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def affordable(head: int) -> int:
    """As many rows of a dense matrix as are asked for, or as this machine has memory for: 6 bytes for each cell are
    taken, so 10,000 need a machine of 5 GB.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(head, int((memory / SHARE / 6) ** 0.5))


def gram(x: sparse.csr_array) -> Floats:
    """X'X, dense."""
    x = x.astype(np.float32, copy=False)
    columns, found = sparse.csr_array(x.T), np.empty((x.shape[1], x.shape[1]), np.float32)

    def fill(rows: slice) -> None:
        (columns[rows] @ x).toarray(out=found[rows])

    each(fill, blocks(len(found), BLOCK // 4))
    return found


def invert(matrix: Floats) -> None:
    """A symmetric positive definite matrix becomes its inverse, by the inverse of a block of it and of what that leaves
    (Schur complement): all work is products, in stripes. Raises ArithmeticError when it is not positive definite.
    """
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:
        _invert(matrix, pool)


def _invert(matrix: Floats, pool: ThreadPoolExecutor) -> None:
    half = len(matrix) // 2
    if len(matrix) <= LEAF:
        matrix[:] = _leaf(matrix)
        return
    top, side, low = matrix[:half, :half], matrix[half:, :half], matrix[half:, half:]
    _invert(top, pool)
    product = np.empty_like(side)
    stripes = blocks(len(low), -(-len(low) // THREADS))

    def multiply(rows: slice) -> None:
        product[rows] = side[rows] @ top
        low[rows] -= product[rows] @ matrix[half:, :half].T

    list(pool.map(multiply, stripes))
    _invert(low, pool)

    def fill(rows: slice) -> None:
        side[rows] = -(low[rows] @ product)

    def spread(columns: slice) -> None:
        top[columns] -= product[:, columns].T @ side
        matrix[columns, half:] = side[:, columns].T

    list(pool.map(fill, stripes))
    list(pool.map(spread, blocks(half, -(-half // THREADS))))


def _leaf(matrix: Floats) -> Floats:
    factor, failed = linalg.lapack.spotrf(matrix, lower=1)
    inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ArithmeticError("A matrix to be inverted is not positive definite, or holds what is no number.")
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(lower, -1).T, np.float32)


def eigenvectors(matrix: Floats, count: int, seed: int) -> npt.NDArray[Any]:
    """rows x count: of the largest eigenvalues of a symmetric matrix."""
    stripes = blocks(len(matrix), -(-len(matrix) // THREADS))
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:

        def multiply(vector: npt.NDArray[Any]) -> npt.NDArray[Any]:
            given = vector.astype(np.float32).ravel()
            return np.concatenate(list(pool.map(lambda rows: matrix[rows] @ given, stripes))).astype(np.float64)

        start = np.random.default_rng(seed).standard_normal(len(matrix))
        operator = LinearOperator(matrix.shape, matvec=multiply, dtype=np.float64)
        found: npt.NDArray[Any] = eigsh(operator, k=count, v0=start, tol=EXACT)[1]
    return found
