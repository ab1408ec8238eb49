"""What happens to an upload: read, its columns matched, checked by a dry run, imported."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Literal, cast

import structlog
from sqlalchemy import select

from engine import lists
from engine.config import Config
from engine.errors import Conflict, Invalid, RapportError, Unreadable
from engine.intake import FIND, WINS, Column, Forecast, Import, Kind, import_file, rejects
from engine.intake import mapping as headers
from engine.intake.files import Written
from engine.intake.finding import Find, Wins
from engine.intake.kinds import fold, kind
from engine.intake.sources import open_source
from engine.intake.values import Rules
from web.services import Services, utcnow
from web.shapes import Shapes
from web.uploads import Upload, Uploads

RECORDS: Final = 100  # of the sample
CHARACTERS: Final = 200_000  # or fewer, when they are long
CELL: Final = 200  # characters kept of a cell
COLUMNS: Final = 500  # more cannot be chosen by hand
Step = Literal["checking", "importing"]

PULSE: Final = 0.5  # seconds between two notes of progress

FORMATS: Final = tuple(
    f"{day}{clock}"
    for day in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%m/%d/%y", "%d/%m/%y")
    for clock in (" %H:%M", " %H:%M:%S", "")
)
TIMES: Final = ("date", "date-time")
NUMBERS: Final = ("integer", "number")

log = structlog.get_logger(__name__)


class Stopped(Conflict):
    """Somebody does not want it any more."""


@dataclass(frozen=True)
class Heading:
    """One column of the file: what it becomes, and what in the sample it cannot become."""

    position: int
    title: str
    column: Column | None  # None: left out
    own: str | None  # its name as a field of the shop's own, where the kind takes such
    examples: list[str]
    faults: list[str]  # one message a cell of the sample that cannot be read


def look(upload: Upload, path: Path, config: Config, now: datetime) -> None:
    """`read`, and when the text is in no encoding that can be found out, take the one most spreadsheets of the West
    write and say so: people see in the first rows whether the letters are right.
    """
    try:
        read(upload, path, config, now)
    except Unreadable as error:
        with path.open("rb") as file:
            is_text = b"\0" not in file.read(2**20)
        if upload.encoding or not is_text:
            raise
        upload.encoding = "cp1252"
        try:
            read(upload, path, config, now)
        except RapportError:
            raise error from None
        upload.problem = error.message


def read(upload: Upload, path: Path, config: Config, now: datetime) -> None:
    """Look into the file: header, first records, and a mapping to begin with. Raises Unreadable, TooLarge, Invalid."""
    try:
        source = open_source(path, config.intake, upload.encoding)
        if len(source.header) > COLUMNS:
            raise Invalid(f"{path.name} has {len(source.header)} columns; at most {COLUMNS} can be chosen here.")
        with closing(source.chunks()) as chunks:  # type: ignore[type-var]  # a generator
            records = next(chunks)[0].records
    except RapportError as error:
        error.message = error.message.replace(path.name, upload.file_name)
        raise
    upload.header, upload.read_as, upload.problem = source.header, source.encoding, None
    upload.sample = list(_sample(records))
    begin(upload, config, now)
    Shapes(config.folder / "shapes").recall(upload)


def begin(upload: Upload, config: Config, now: datetime) -> None:
    """The choices to begin with: columns by their names, and what the sample says about times and numbers."""
    upload.mapping = automatic(kind(upload.kind), upload.header)
    upload.time_format, upload.repeats, upload.remembered = None, "keep", False
    upload.wins, upload.find = "file", _finds(upload)
    guess_times(upload, config, now)
    guess_comma(upload, config, now)


def automatic(wanted: Kind, header: Sequence[str]) -> dict[str, str]:
    """Headers matched by name, then by alias; a column is given once, what nobody knows is left out."""
    mapping: dict[str, str] = {}
    for exact in (True, False):
        for title in filter(None, map(str.strip, header)):
            column = wanted.find(title)
            fits = column is not None and (not exact or fold(column.name) == fold(title))
            if column and fits and not mapping.get(title) and column.name not in mapping.values():
                mapping[title] = column.name
            mapping.setdefault(title, "")
    return mapping


def _finds(upload: Upload) -> Find:
    """The first way to find people that the file has a column for."""
    given = upload.mapping.values()
    return next((name for name in FIND if name in given), "key") if upload.kind == "contacts" else "key"


def guess_times(upload: Upload, config: Config, now: datetime) -> None:
    """The only format that all times of the sample have, when they are not ISO 8601; the day's and the month's place
    stay a question when both are possible.
    """
    cells = _given(upload, [column for column in _chosen(upload).values() if column.type.format in TIMES])
    fitting = [name for name in (None, *FORMATS) if not any(_faults(cells, Rules.of(config, now, name)))]
    if cells and upload.time_format not in fitting and None not in fitting and len(fitting) == 1:
        upload.time_format = fitting[0]


def guess_comma(upload: Upload, config: Config, now: datetime) -> None:
    """Decimal commas, when more numbers of the sample can be read that way."""
    cells = _given(upload, [column for column in _chosen(upload).values() if column.type.json in NUMBERS])
    point, comma = (len(list(_faults(cells, Rules.of(config, now, comma=comma)))) for comma in (False, True))
    upload.comma = comma < point


def choose(
    upload: Upload, choices: Mapping[str, str], options: Mapping[str, str], config: Config, now: datetime
) -> None:
    """Keep what was chosen, as far as there is such a column and such an option."""
    wanted, before = kind(upload.kind), dict(upload.mapping)
    upload.mapping |= {title: name for title, name in choices.items() if not name or wanted.column(name)}
    time_format = options.get("time_format")
    upload.time_format = time_format if time_format in FORMATS else None
    upload.comma = options.get("decimal", "comma" if upload.comma else "point") == "comma"
    upload.empty = "clear" if options.get("empty") == "clear" else "keep"
    upload.repeats = "drop" if options.get("repeats") == "drop" else "keep"
    if upload.kind == "contacts":
        upload.find = cast(Find, options["find"]) if options.get("find") in FIND else upload.find
        upload.wins = cast(Wins, options["wins"]) if options.get("wins") in WINS else upload.wins
    upload.problem, upload.remembered = None, False
    if not time_format:
        guess_times(upload, config, now)
    if upload.mapping != before and not upload.comma:
        guess_comma(upload, config, now)


def spelt(time_format: str) -> str:
    """A format as people know it: 31/03/2026 14:05."""
    return datetime(2026, 3, 31, 14, 5, 9, tzinfo=UTC).strftime(time_format)


def headings(upload: Upload, config: Config, now: datetime) -> list[Heading]:
    """The file's columns as they stand; of several with one title the first counts."""
    wanted, chosen = upload.columns, _chosen(upload)
    rules = Rules.of(config, now, upload.time_format, comma=upload.comma)
    found = []
    for position, title in _titles(upload):
        column = chosen.get(position)
        cells = _cells(upload, position)
        faults = list(_faults([(column, cell) for cell in cells], rules)) if column else []
        own = f"{wanted.open}.{_own_name(title)}" if wanted.open and _own_name(title) else None
        found.append(Heading(position, title, column, own, cells[:3], faults))
    return found


def fault(upload: Upload) -> Invalid | None:
    """Why the mapping cannot be used: a column is missing or given twice."""
    try:
        headers.match(upload.columns, upload.header, upload.mapping, ignore_unknown=True)
    except Invalid as error:
        return error
    return None


def start(
    services: Services, uploads: Uploads, token: str, step: Step, *, refuse_all: bool = False, now: datetime
) -> None:
    """Check a file, or import one that was checked, beside the page. Raises NotFound, Conflict."""
    lock = uploads.lock(token)
    try:
        upload = uploads.find(token)
        if step == "importing" and upload.stage not in ("checked", "importing"):
            raise Conflict("This file has to be checked first.")
        upload.stage, upload.started_at, upload.share, upload.problem = step, now, 0.0, None
        upload.stopped = False
        uploads.go_on(token)
        uploads.save(upload)
    except RapportError:
        lock.close()
        raise
    arguments = (services, uploads, upload, refuse_all, lock)
    threading.Thread(target=_work, args=arguments, daemon=True, name="import").start()


def first_rejects(path: Path, count: int) -> list[dict[str, str]]:
    """line, field and message of the first refused records; none when the file is gone."""
    try:
        return rejects.first(path, count)
    except FileNotFoundError:
        return []


def example(wanted: Kind) -> list[list[str]]:
    """A header and one record, from the table of columns; it can be imported as it is."""
    own = [(f"{wanted.open}.size", "42")] if wanted.open else []
    cells = [*((column.name, column.example) for column in wanted.columns), *own]
    return [[name for name, _ in cells], [cell for _, cell in cells]]


def _work(services: Services, uploads: Uploads, upload: Upload, refuse_all: bool, lock: IO[bytes]) -> None:
    """Runs in a thread of its own. What nobody foresaw leaves the stage as it is: begun, and nobody at work."""
    with lock:
        try:
            _STEPS[upload.stage](services, uploads, upload, refuse_all)
        except Stopped:
            _leave(services, uploads, upload)
        except RapportError as error:
            upload.stage = "mapping"
            upload.problem = error.message.replace(upload.token, upload.file_name)
            uploads.save(upload)
        except Exception:
            log.exception("import failed", kind=upload.kind, stage=upload.stage)


def _leave(services: Services, uploads: Uploads, upload: Upload) -> None:
    """Stopped by hand: a check can be changed, an import goes on or is discarded; what is in is counted."""
    if upload.stage == "checking":
        upload.stage, upload.problem = "mapping", "You stopped the check. Nothing was written."
    else:
        with services.database.read() as session:
            found = select(Import).where(Import.started_at == upload.started_at, Import.kind == upload.kind)
            run = session.scalars(found.order_by(Import.id.desc())).first()
        upload.counts = _counts(run) if run else {}
        upload.stopped = True
    uploads.go_on(upload.token)
    uploads.save(upload)


def _counts(run: Import) -> dict[str, int]:
    return {name: getattr(run, name) for name in ("rows", "created", "updated", "unchanged", "rejected", "repeated")}


def _check(services: Services, uploads: Uploads, upload: Upload, _refuse_all: bool) -> None:
    """What it refuses is kept beside the file; named by the token, because two checks may run at once."""
    forecast = Forecast()
    run = _run(services, uploads, upload, forecast=forecast, file_name=upload.token)
    upload.counts, upload.forecast = _counts(run), forecast.as_dict()
    uploads.rejects(upload.token).unlink(missing_ok=True)
    if run.rejects_file:
        (services.config.folder / "rejects" / run.rejects_file).replace(uploads.rejects(upload.token))
    upload.stage = "checked"
    uploads.save(upload)


def _import(services: Services, uploads: Uploads, upload: Upload, refuse_all: bool) -> None:
    """The lists see the people at once: the warehouse follows before the page says that all is done."""
    Shapes(services.config.folder / "shapes").keep(upload)
    run = _run(services, uploads, upload, refuse_all=refuse_all, file_name=upload.file_name)
    upload.import_id, upload.stage = run.id, "refreshing"
    uploads.save(upload)
    try:
        services.warehouse.refresh()
        if upload.list_id and upload.kind == "contacts":
            lists.count_again(services.database, services.warehouse, upload.list_id, utcnow())
    finally:
        upload.stage = "finished"
        uploads.save(upload)
        uploads.forget(upload.token)


_STEPS: Final = {"checking": _check, "importing": _import}


def _run(
    services: Services,
    uploads: Uploads,
    upload: Upload,
    *,
    file_name: str,
    forecast: Forecast | None = None,
    refuse_all: bool = False,
) -> Import:
    now, noted = upload.started_at, 0.0
    assert now is not None

    def progress(done: int, total: int) -> None:
        nonlocal noted
        if uploads.is_stopping(upload.token):
            raise Stopped("Stopped by hand. What was written by then stays; the same file brings the rest.")
        upload.share = done / max(total, 1)
        if time.monotonic() - noted > PULSE:
            noted = time.monotonic()
            uploads.save(upload)

    return import_file(
        services.database,
        services.config,
        upload.kind,
        uploads.path(upload.token),
        now=now,
        mapping=upload.mapping,
        dry_run=forecast is not None,
        forecast=forecast,
        refuse_all=refuse_all,
        ignore_unknown=True,
        origin=upload.origin,
        reading=upload.reading,
        file_name=file_name,
        progress=progress,
        written=_onto_list(upload, now),
    )


def _onto_list(upload: Upload, now: datetime) -> Written | None:
    """Puts the contacts of a file on the list that was chosen for them."""
    list_id = upload.list_id
    if list_id is None or upload.kind != "contacts":
        return None
    author = f"import {upload.file_name}"
    return lambda session, keys: lists.pick_keys(session, list_id, keys, now=now, author=author)


def _sample(records: Sequence[Sequence[object]]) -> Iterator[list[str]]:
    characters = 0
    for record in records[:RECORDS]:
        cells = ["" if cell is None else str(cell)[:CELL] for cell in record]
        characters += sum(map(len, cells))
        if characters > CHARACTERS:
            return
        yield cells


def _titles(upload: Upload) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for position, title in enumerate(map(str.strip, upload.header)):
        if title and title not in seen:
            seen.add(title)
            yield position, title


def _chosen(upload: Upload) -> dict[int, Column]:
    wanted = upload.columns
    found = {position: wanted.column(upload.mapping.get(title, "")) for position, title in _titles(upload)}
    return {position: column for position, column in found.items() if column is not None}


def _given(upload: Upload, columns: Sequence[Column]) -> list[tuple[Column, str]]:
    """The sample's cells of these columns."""
    chosen = _chosen(upload).items()
    return [(column, cell) for position, column in chosen if column in columns for cell in _cells(upload, position)]


def _cells(upload: Upload, position: int) -> list[str]:
    return [record[position] for record in upload.sample if record[position].strip()]


def _faults(cells: Sequence[tuple[Column, str]], rules: Rules) -> Iterator[str]:
    for column, cell in cells:
        try:
            column.type.parse(cell, rules)
        except Invalid as error:
            yield error.message


def _own_name(title: str) -> str:
    return re.sub(r"[^\w-]+", "_", title.rpartition(".")[2]).strip("_-")[:64]
