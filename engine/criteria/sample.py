"""A random sample of all: plain arithmetic on the number that each contact drew at birth, the same each time."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import ibis

from engine.catalogue import Catalogue
from engine.criteria.scored import Input, Kind, Score, register_kind
from engine.errors import Invalid
from engine.models import BUCKETS
from engine.values import Words

SEED: Final = 1
SEEDS: Final = 1_000_000


def register() -> None:
    """Let criteria ask for samples."""
    register_kind(KIND)


def shuffle(seed: int) -> tuple[int, int]:
    """(a, s) of the seed: a contact's position is (a * bucket + s) mod BUCKETS. From a digest, for the random numbers
    of libraries change with their versions, and a saved list must not.
    """
    digest = sha256(f"sample {seed}".encode()).digest()
    return 1 + int.from_bytes(digest[:8]) % (BUCKETS - 1), int.from_bytes(digest[8:16]) % BUCKETS


def _make(given: Mapping[str, Any], _catalogue: Catalogue) -> Score:
    percent, seed = given["sample.percent"], given["sample.seed"]
    if percent is None:
        raise Invalid("Say how many percent of all are drawn.", field="sample.percent")
    end = int(BUCKETS * Decimal(str(percent)) / 100)
    en, zh = (f" (seed {seed:,})", f"（种子{seed:,}）") if seed != SEED else ("", "")
    share = f"{Decimal(str(percent)):f}%"
    words = Words(f"in a random sample of {share}{en}", f"属于{share}的随机样本{zh}")
    contrary = Words(f"not in a random sample of {share}{en}", f"不属于{share}的随机样本{zh}")
    return Score(lambda warehouse, _clock, _currency: _drawn(warehouse, seed, end), words, contrary, of_unit=True)


def _drawn(warehouse: Any, seed: int, end: int) -> Any:
    """contact_id and value of those whose position is below `end`; a * bucket + s is below 2^62."""
    contacts, (a, s) = warehouse.table("contacts"), shuffle(seed)
    drawn = contacts.filter((contacts.bucket.cast("int64") * a + s) % BUCKETS < end)
    return drawn.select(contact_id=drawn.id, value=ibis.literal(True))


KIND: Final = Kind(
    "sample",
    Words("Random sample", "随机样本"),
    "So many percent of all, drawn at random and the same each time: each contact's position is"
    " (a × bucket + s) mod (2³¹ − 1), where the bucket is a number they drew at birth, a and s come of the seed. Other"
    " conditions choose among the sample. Of one seed a smaller sample lies within a larger one, and who is new is"
    " drawn with the same chance; samples of two seeds have nothing to do with each other, nor with the splits of"
    " campaigns. Of households and accounts so many percent of them are drawn.",
    {"sample": {"percent": 10, "seed": 2}},
    (
        Input("sample.percent", "percent", Words("percent of all", "占全部的百分比")),
        Input("sample.seed", "number", Words("seed", "种子"), default=SEED, least=1, most=SEEDS, whole=True),
    ),
    _make,
    weight=1,
)  # fmt: skip
