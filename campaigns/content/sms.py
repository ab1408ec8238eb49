"""Text messages: the way out that every one carries, and how many segments it is billed as (3GPP TS 23.038)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from liquid import BoundTemplate

from campaigns.content.markup import Links, track_addresses
from campaigns.content.templating import parse
from campaigns.content.words import WORDS

BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # two septets each
# The way out in the text's own words: plain, at its end, and not within Liquid, where it may fall away.
STOP: Final = re.compile(r"(\b(reply|text|send|answer)\W{1,3}STOP\b|退订|拒收)[^{}]{0,60}\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Segments:
    """How a text travels: `encoding` GSM-7 or UCS-2, `units` used, `count` of segments, `left` in the last one."""

    encoding: str
    units: int
    count: int
    left: int


@dataclass(frozen=True)
class Compiled:
    """A text's template and the destinations it links to."""

    text: BoundTemplate
    urls: tuple[str, ...]


def segments(text: str) -> Segments:
    """Count as the network does: 160 septets alone or 153 joined, 70 or 67 UTF-16 units when one letter needs it."""
    if all(c in BASIC or c in EXTENDED for c in text):
        sizes = [2 if c in EXTENDED else 1 for c in text]
        return _count("GSM-7", sizes, 160, 153)
    return _count("UCS-2", [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67)


def _count(encoding: str, sizes: list[int], alone: int, joined: int) -> Segments:
    units = sum(sizes)
    if units <= alone:
        return Segments(encoding, units, 1 if units else 0, alone - units)
    count, used = 1, 0
    for size in sizes:  # a letter of two units never straddles two segments
        if used + size > joined:
            count, used = count + 1, 0
        used += size
    return Segments(encoding, units, count, joined - used)


@lru_cache(maxsize=64)
def compile_sms(source: str, *, language: str) -> Compiled:
    """Compile with tracked links and the words that say how to stop, unless the text says so itself."""
    links = Links()
    text = track_addresses(source.strip(), links, field="text")
    if not STOP.search(source.strip()):
        text += f" {WORDS[language]['stop']}"
    return Compiled(parse(text, field="text"), tuple(links.urls))
