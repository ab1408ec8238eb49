"""Records of a delimited text, with the line each began in; a broken one costs only its own first line."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TextIO

DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Broken:
    """A line that is no record."""

    line: int
    message: str


class _TooLong(Exception):
    """A record passed the limit."""


class Records:
    """Iterates over (line, cells) and Broken. Memory is bounded by `limit` characters, whatever the text.

    A quote that is never closed would swallow the rest of the file: after `limit` characters, a cell of 131,072
    (the csv module's own limit) or the end of the file, the line with the quote is reported and reading goes on
    with the next line.
    """

    def __init__(self, stream: TextIO, limit: int, delimiter: str = ",") -> None:
        self._feed = _Feed(stream, limit)
        self._delimiter = delimiter

    @property
    def size(self) -> int:
        """Characters of the present record."""
        return self._feed.size

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Broken]:
        feed = self._feed
        reader = self._reader()
        while True:
            feed.begin_record()
            line = feed.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, _TooLong) as error:
                yield Broken(line, self._explain(error))
                feed.back_to(line)
                reader = self._reader()
                continue
            if cells:
                yield line, cells

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._feed, delimiter=self._delimiter, strict=True)

    def _explain(self, error: Exception) -> str:
        if self._feed.lines_of_record > 1 or "unexpected end" in str(error):
            return "A quote opens in this line and is not closed; double it, or close it."
        if isinstance(error, _TooLong):
            return f"The line is longer than {self._feed.limit} characters."
        if "expected after" in str(error):
            return "Text follows a closing quote; double the quotes inside a cell."
        return f"The line cannot be read ({error})."


class _Feed:
    """Lines for the csv module that can be taken back to the second line of the present record."""

    def __init__(self, stream: TextIO, limit: int) -> None:
        self.limit = limit
        self.line = 0
        self.size = 0
        self._read = stream.readline
        self._again: deque[str] = deque()
        self._taken: list[str] = []

    @property
    def lines_of_record(self) -> int:
        return len(self._taken)

    def begin_record(self) -> None:
        self._taken.clear()
        self.size = 0

    def back_to(self, line: int) -> None:
        """Give the lines after `line` out again."""
        self._again.extendleft(reversed(self._taken[1:]))
        self.line = line

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = self._again.popleft() if self._again else self._next_line()
        if not text:
            raise StopIteration
        self.line += 1
        self._taken.append(text)
        self.size += len(text)
        if self.size > self.limit:
            raise _TooLong
        return text

    def _next_line(self) -> str:
        """One line, or the first limit + 1 characters of a longer one, whose rest is dropped."""
        text = rest = self._read(self.limit + 1)
        while len(rest) > self.limit and not rest.endswith(("\n", "\r")):
            rest = self._read(self.limit + 1)
        return text


def delimiter_of(header: str) -> str:
    """The delimiter a header line uses: the most frequent one outside quotes, comma when there is none."""
    bare = "".join(header.split('"')[::2])
    return max(DELIMITERS, key=bare.count)
