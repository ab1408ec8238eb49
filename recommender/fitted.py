"""One fitted artefact: sources learned from the same interactions, and the folder it is kept in.

A folder holds plain .npy arrays, memory-mapped by every process that serves, and training.json with the SHA-256 of
each; never pickle. It is written beside its place and renamed: a folder that exists is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from engine.errors import Unreadable
from recommender.algebra import give_back
from recommender.arrays import Ints
from recommender.interactions import Interactions, numbers
from recommender.sources import SOURCES
from recommender.sources.base import NOTHING, Finds, Query, Settings, Source, within

FORMAT: Final = 4
SPARSE: Final = 8  # ids for each item up to which numbers are looked up in a list
MAPPED: Final = 2**16  # bytes: smaller arrays are read at once

Progress = Callable[[str, int, int], None]  # what is done now, steps done, steps in all


class Chosen(NamedTuple):
    """An item number with the score and the name of the source that found it."""

    item: int
    score: float
    source: str


@dataclass(frozen=True, eq=False)
class Fitted:
    """item_ids: item id of each number; sources by name; until: what happened later is unknown to it."""

    item_ids: Ints
    sources: dict[str, Source]
    settings: Settings
    until: datetime

    def numbers(self, item_ids: Ints) -> Ints:
        """Number of each item id, -1 for an unknown one."""
        if self._number is None:
            return numbers(self.item_ids, item_ids, self._order)
        return self._number.take(item_ids, mode="clip")

    @cached_property
    def _order(self) -> Ints:
        return np.argsort(self.item_ids)

    @cached_property
    def _number(self) -> Ints | None:
        """By item id, where ids lie close together: ten times as fast as a search. Its ends are unknown ids."""
        last = int(self.item_ids.max(initial=0))
        if last > SPARSE * max(len(self.item_ids), 1000):
            return None
        found = np.full(last + 2, -1, np.int64)
        found[self.item_ids] = np.arange(len(self.item_ids))
        return found

    def choose(
        self, names: Sequence[str], query: Query, n: int, sources: Mapping[str, Finds] | None = None
    ) -> list[list[Chosen]]:
        """For each question up to n items: the sources in order, each filling what those before it left open. `sources`
        in place of those that were learned.
        """
        known: Mapping[str, Finds] = self.sources if sources is None else sources
        chosen: list[list[Chosen]] = [[] for _ in range(len(query))]
        for name in names:
            open_rows = np.array([row for row, found in enumerate(chosen) if len(found) < n], np.int64)
            if not len(open_rows):
                break
            if name in known:
                found = known[name].candidates(query.only(open_rows), 2 * n)
                for place, row in enumerate(open_rows):
                    _fill(chosen[row], found.items[place], found.scores[place], name, n)
        return chosen


def fit(
    interactions: Interactions,
    settings: Settings,
    *,
    seed: int,
    names: Iterable[str] = SOURCES,
    progress: Any = None,
    learners: Mapping[str, Callable[..., Source]] | None = None,
    keep: Callable[[str, Source], Source] | None = None,
) -> Fitted:
    """Learn all of `names`; `learners` in place of the sources' own `fit`; `keep` gets each source once it is learned,
    and what it gives back takes its place.
    """
    sources = {}
    for name in names:
        if progress:
            progress(name)
        learn = (learners or {}).get(name) or SOURCES[name].fit
        learned = learn(interactions, settings, seed=seed)
        sources[name] = keep(name, learned) if keep else learned
    return Fitted(interactions.item_ids, sources, settings, interactions.until)


def stack(rows: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], width: int) -> sparse.csr_array:
    """A matrix of one row per (item numbers, weights); numbers below 0 are left out, equal ones added up."""
    columns, values, starts = [np.empty(0, np.int32)], [np.empty(0, np.float32)], [0]
    for items, weights in rows:
        column, value = np.asarray(items, np.int32), np.asarray(weights, np.float32)
        known = column >= 0
        columns.append(column[known])
        values.append(value[known])
        starts.append(starts[-1] + int(known.sum()))
    matrix = sparse.csr_array((np.concatenate(values), np.concatenate(columns), starts), shape=(len(rows), width))
    matrix.sum_duplicates()
    return matrix


@dataclass
class Draft:
    """A folder on its way. Each source is written once it is learned, and mapped from there: memory holds the tables of
    one source, not of all (1.3 GB less at 100,000 items). The folder appears whole, with `close`, or not at all.
    """

    folder: Path
    sums: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.rmtree(self._beside, ignore_errors=True)
        self._beside.mkdir(parents=True)

    def keep(self, name: str, source: Source) -> Source:
        """Write what a source learned; the same source with its arrays mapped."""
        files = [self.write(f"{name}.{part}", array) for part, array in source.arrays().items()]
        return SOURCES[name].restore(within({file.stem: _mapped(file) for file in files}, name))

    def write(self, name: str, array: npt.NDArray[Any]) -> Path:
        """Write one array; its file."""
        file = self._beside / f"{name}.npy"
        self.sums[name] = _write(file, array)
        return file

    def close(self, fitted: Fitted) -> None:
        """Write the rest, and give the folder its name."""
        self.write("items", fitted.item_ids)
        about = {
            "format": FORMAT,
            "until": fitted.until.isoformat(),
            "settings": asdict(fitted.settings),
            "sources": list(fitted.sources),
            "files": self.sums,
        }
        _flush(self._beside / "training.json", json.dumps(about, indent=1).encode())
        shutil.rmtree(self.folder, ignore_errors=True)
        _settle(self._beside)
        self._beside.replace(self.folder)
        _settle(self.folder.parent)  # the database may name it from now on, after a power cut too

    @property
    def _beside(self) -> Path:
        return self.folder.with_name(self.folder.name + ".new")


def save(fitted: Fitted, folder: Path) -> None:
    """Write into `folder`, which appears whole or not at all."""
    draft = Draft(folder)
    for name, source in fitted.sources.items():
        draft.keep(name, source)
    draft.close(fitted)


def load(folder: Path, *, checked: bool = True) -> Fitted:
    """Open a folder, every array checked against its checksum unless somebody has just done so; raises Unreadable
    naming the file that is not right.
    """
    try:
        about = json.loads((folder / "training.json").read_bytes())
        until, sums = datetime.fromisoformat(about["until"]), dict(about["files"])
        settings, names = Settings(**about["settings"]), list(about["sources"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"The training in {folder.name} cannot be read ({error}); train again.") from None
    if about["format"] != FORMAT or not set(names) <= set(SOURCES):
        raise Unreadable(f"The training in {folder.name} is of another version of Rapport; train again.")
    arrays = {name: _read(folder / f"{name}.npy", digest if checked else None) for name, digest in sums.items()}
    sources = {name: SOURCES[name].restore(within(arrays, name)) for name in names}
    give_back()  # what the sums of eight million clicks took: 60 MB in each process that serves
    return Fitted(arrays["items"], sources, settings, until)


def _fill(chosen: list[Chosen], items: npt.NDArray[Any], scores: npt.NDArray[Any], source: str, n: int) -> None:
    taken = {found.item for found in chosen}
    for item, score in zip(items.tolist(), scores.tolist(), strict=True):
        if item == NOTHING or len(chosen) == n:
            return
        if item not in taken:
            chosen.append(Chosen(item, score, source))


def _write(path: Path, array: npt.NDArray[Any]) -> str:
    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return _digest(path)


def _flush(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path, digest: str | None) -> npt.NDArray[Any]:
    try:
        if digest is not None and _digest(path) != digest:
            raise Unreadable(f"{path.parent.name}/{path.name} is damaged (its checksum differs); train again.")
        return _mapped(path)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path.parent.name}/{path.name} cannot be read ({error}); train again.") from None


def _mapped(path: Path) -> npt.NDArray[Any]:
    """As a plain array: slices of numpy's own class for mapped files take ten times as long."""
    return np.asarray(np.load(path, mmap_mode="r" if path.stat().st_size > MAPPED else None))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
