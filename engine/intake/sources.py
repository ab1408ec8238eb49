"""Files: CSV in the encodings shops have, gzip or plain, and Parquet. Every size is bounded; nothing is trusted."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from engine.config import Intake
from engine.errors import Invalid, TooLarge, Unreadable, nearest
from engine.intake.guard import COLUMNS, bare
from engine.intake.parsing import Reject
from engine.intake.records import Broken, Records, delimiter_of

ROWS: Final = 20_000  # records handed on at a time
CHARACTERS: Final = 2**22  # or fewer, when they are long
BLOCK: Final = 2**20
ENCODINGS: Final = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5", "shift_jis", "euc-kr"),
    *("cp1250", "cp1251", "cp1252", "iso-8859-1", "iso-8859-2", "iso-8859-15", "mac-roman"),
)
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_PAIR = re.compile(rb"[\x81-\xfe]([\x40-\x7e\x80-\xfe])")


@dataclass
class Chunk:
    """Some records as they stand in the file: line numbers, cells, and lines that are no record."""

    lines: list[int] = field(default_factory=list)
    records: list[Sequence[Any]] = field(default_factory=list)
    broken: list[Reject] = field(default_factory=list)


class Source(Protocol):
    """A file with a header. Every call of `chunks` reads it from the start."""

    header: list[str]
    encoding: str
    size: int  # bytes on disk

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Records, with the bytes of the file read so far. Raises Unreadable, TooLarge."""
        ...


def open_source(path: Path, limits: Intake, encoding: str | None = None) -> Source:
    """Find out what a file is by its first bytes, not by its name. Raises Unreadable, TooLarge, Invalid."""
    if encoding is not None and encoding not in ENCODINGS:
        raise Invalid(f"There is no encoding '{encoding[:40]}'.{nearest(encoding, ENCODINGS)}", field="encoding")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be opened: {error.strerror}.") from None
    if start == b"PAR1":
        return ParquetSource(path, limits)
    if start == b"PK\x03\x04":
        raise Unreadable(f"{path.name} is a ZIP archive or an Excel workbook; save it as CSV.")
    return CsvSource(path, limits, encoding)


class CsvSource:
    """Delimited text. Encoding: byte order mark, else UTF-8, else GB18030 when the bytes look like it.

    A mended rejects file is read as the file it came of: without the columns of its faults, and without the guard.
    """

    def __init__(self, path: Path, limits: Intake, encoding: str | None = None) -> None:
        self._path = path
        self._max_bytes = limits.max_upload_mb * 2**20
        self._max_line = limits.max_line_kb * 1024
        self._delimiter = ","
        self.size = path.stat().st_size
        self.encoding = self._find_encoding(encoding)
        self._titles = self._read_header()
        self._is_mended = tuple(self._titles[: len(COLUMNS)]) == COLUMNS
        self.header = _distinct(self._own(self._titles))

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Records after the header."""
        with self._text() as (text, raw):
            records = Records(text, self._max_line, self._delimiter)
            chunk, characters = Chunk(), 0
            found = iter(records)
            next(found, None)
            for record in found:
                self._add(chunk, record)
                characters += records.size
                if len(chunk.lines) + len(chunk.broken) >= ROWS or characters > CHARACTERS:
                    yield chunk, raw.tell()
                    chunk, characters = Chunk(), 0
            yield chunk, raw.tell()

    def _add(self, chunk: Chunk, record: tuple[int, list[str]] | Broken) -> None:
        if isinstance(record, Broken):
            chunk.broken.append(Reject(record.line, None, record.message))
            return
        line, cells = record
        if len(cells) != len(self._titles):
            words = f"The line has {len(cells)} cells, the header has {len(self._titles)}."
            chunk.broken.append(Reject(line, None, words))
        elif cells == self._titles:  # files joined end to end: no contact is called "key"
            chunk.broken.append(Reject(line, None, "The line is the header again."))
        else:
            chunk.lines.append(line)
            chunk.records.append(self._own(cells))

    def _own(self, cells: list[str]) -> list[str]:
        """The cells of the source itself."""
        return [bare(cell) for cell in cells[len(COLUMNS) :]] if self._is_mended else cells

    def _read_header(self) -> list[str]:
        with self._text() as (text, _raw):
            self._delimiter = delimiter_of(text.readline(self._max_line))
        with self._text() as (text, _raw):
            record = next(iter(Records(text, self._max_line, self._delimiter)), None)
        if record is None:
            raise Unreadable(f"{self._path.name} is empty.")
        if isinstance(record, Broken):
            raise Unreadable(f"{self._path.name}, line {record.line} (the header): {record.message}")
        header = record[1]
        if any("\0" in title for title in header):
            raise Unreadable(f"{self._path.name} holds NUL characters where its header should be; save it as UTF-8.")
        return header

    def _find_encoding(self, wanted: str | None) -> str:
        """Read the whole file once: better than finding out half way through."""
        with self._bytes() as (stream, _raw):
            start = stream.read(3)
        marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        fixed = wanted or marked
        for encoding in [fixed] if fixed else ["utf-8", "gb18030"]:
            if self._is_in(encoding):
                return encoding
        tried = fixed or "UTF-8 or GB18030"
        raise Unreadable(
            f"{self._path.name} is not text in {tried}. Save it as UTF-8, or name its encoding, such as cp1252."
        )

    def _is_in(self, encoding: str) -> bool:
        """The file is text in this encoding. Nearly any bytes pass as GB18030, so for that one the pairs must be like
        those of Chinese text, where both bytes are high; in Western text a letter follows an accented one.
        """
        decoder = codecs.getincrementaldecoder(encoding)()
        high = pairs = 0
        with self._bytes() as (stream, _raw):
            while block := stream.read(BLOCK):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    return False
                if encoding == "gb18030":
                    seconds = _PAIR.findall(block)
                    pairs += len(seconds)
                    high += sum(second >= b"\xa1" for second in seconds)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        return high >= pairs / 2

    @contextmanager
    def _text(self) -> Iterator[tuple[TextIO, BinaryIO]]:
        with self._bytes() as (stream, raw):
            yield io.TextIOWrapper(stream, self.encoding, newline=""), raw

    @contextmanager
    def _bytes(self) -> Iterator[tuple[io.BufferedReader, BinaryIO]]:
        """The unpacked bytes, and the raw file for its position."""
        name = self._path.name
        try:
            with self._path.open("rb") as raw:
                packed = raw.read(2) == b"\x1f\x8b"
                raw.seek(0)
                inner = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
                yield io.BufferedReader(_Bounded(inner, self._max_bytes, name), BLOCK), raw
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise Unreadable(f"{name} is a damaged gzip file; pack it again.") from None
        except UnicodeDecodeError:
            raise Unreadable(f"{name} is not text in {self.encoding}.") from None


class _Bounded(io.RawIOBase):
    """Bytes of a file, at most `limit`: a small gzip file can unpack to terabytes."""

    def __init__(self, inner: BinaryIO, limit: int, name: str) -> None:
        self._inner, self._left, self._limit, self._name = inner, limit, limit, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(
                f"{self._name} holds more than {self._limit // 2**20} MiB; cut it into parts or raise"
                " intake.max_upload_mb."
            )
        buffer[: len(data)] = data
        return len(data)


class ParquetSource:
    """An Apache Parquet file with flat columns."""

    def __init__(self, path: Path, limits: Intake) -> None:
        self._path = path
        self.size = path.stat().st_size
        self.encoding = "parquet"
        try:
            with pq.ParquetFile(path) as file:
                schema, footer = file.schema_arrow, file.metadata
        except (pa.ArrowException, OSError):
            raise Unreadable(f"{path.name} is a damaged Parquet file; write it again.") from None
        unpacked = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
        if unpacked > limits.max_upload_mb * 2**20:
            raise TooLarge(f"{path.name} unpacks to more than intake.max_upload_mb ({limits.max_upload_mb} MiB).")
        nested = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_nested(kind)]
        if nested:
            raise Unreadable(f"{path.name}: the column '{nested[0][:80]}' is nested; write it as plain columns.")
        self.header = _distinct(schema.names)

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Records; `lines` count from 1."""
        line = 1
        try:
            with pq.ParquetFile(self._path) as file:
                total = max(file.metadata.num_rows, 1)
                size = max(1, min(ROWS, ROWS * 20 // max(len(self.header), 1)))
                for part in file.iter_batches(batch_size=size):
                    records: list[Sequence[Any]] = list(zip(*(_cells(column) for column in part.columns), strict=True))
                    yield Chunk(list(range(line, line + len(records))), records), self.size * line // total
                    line += len(records)
        except (pa.ArrowException, OSError):
            raise Unreadable(f"{self._path.name} is a damaged Parquet file; write it again.") from None


def _distinct(titles: Sequence[str]) -> list[str]:
    """Titles by which each column can be named: the second "email" is "email (2)"."""
    seen: Counter[str] = Counter()
    named = []
    for title in titles:
        words = title.strip()
        seen[words] += 1
        named.append(f"{words} ({seen[words]})" if words and seen[words] > 1 else title)
    return named


def _cells(column: Any) -> list[Any]:
    """Plain Python values; nanoseconds are cut to microseconds, which is what is stored."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return list(column.to_pylist())
