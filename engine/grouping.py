"""Pieces of work that wait for SQLite's one writer share its next transaction, and so the cost of making it durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from threading import Condition
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

Piece = TypeVar("Piece")
Result = TypeVar("Result")

Write = Callable[[Session, Sequence[Piece]], Sequence[Result]]  # a result for each piece


class _Waiting(Generic[Piece, Result]):
    """A piece that waits for a transaction, then its result or its error."""

    def __init__(self, write: Write[Piece, Result], piece: Piece) -> None:
        self.write, self.piece = write, piece
        self.done = False

    def end(self, result: Result | None = None, error: BaseException | None = None) -> None:
        """It is committed, or it failed."""
        self._result, self._error, self.done = result, error, True

    def result(self) -> Result:
        """What came of it; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # None only where the write gives None


class Group:
    """Pieces in line. Whoever finds nobody writing writes all that wait, in one transaction."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Session]]) -> None:
        self._begin = begin
        self._turn = Condition()
        self._is_writing = False
        self._line: list[_Waiting[Any, Any]] = []

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    def do(self, write: Write[Piece, Result], piece: Piece) -> Result:
        """What `write` makes of the piece, once it is committed."""
        mine = _Waiting(write, piece)
        with self._turn:
            self._line.append(mine)
            self._turn.wait_for(lambda: mine.done or not self._is_writing)
            line = [] if mine.done else self._line
            if line:
                self._line, self._is_writing = [], True
        if line:
            self._write(line)
            with self._turn:
                self._is_writing = False
                self._turn.notify_all()
        return mine.result()

    def _write(self, line: Sequence[_Waiting[Any, Any]]) -> None:
        try:
            with self._begin() as session:
                results: list[Any] = []
                for write, some in groupby(line, lambda one: one.write):
                    results += write(session, [one.piece for one in some])
        except BaseException as error:  # whoever waits for the piece raises it
            for one in line:
                if len(line) > 1:
                    self._write([one])
                else:
                    one.end(error=error)
        else:
            for one, result in zip(line, results, strict=True):
                one.end(result)
