"""From what a marketer types to HTML: escaped, sanitised, its Liquid untouched, its links fixed and tracked.

Liquid pieces and attribute values travel through MJML as marks (plain letters) and are put back at the end: MJML
would not understand the first and rewrites rare characters in the second.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final
from urllib.parse import urlsplit

import nh3

from campaigns.content.templating import pieces
from engine.errors import Invalid

LINK: Final = re.compile(r"\[([^\[\]\n]+)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")
BOLD: Final = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
ADDRESS: Final = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
MARK: Final = re.compile(r"x7q(\d+)q7x")
TAGS: Final = {"p", "br", "strong", "a"}
URL_LIMIT: Final = 2_000


class Marks:
    """Pieces set aside while a text is worked on."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def hold(self, piece: str) -> str:
        """Set a piece aside; the mark that stands for it."""
        self.pieces.append(piece)
        return f"x7q{len(self.pieces) - 1}q7x"

    def protect(self, text: str) -> str:
        """Set all Liquid of a text aside."""
        parts, last = [], 0
        for start, end in pieces(text):
            if end > 0:
                parts += [text[last:start], self.hold(text[start:end])]
                last = end
        return "".join([*parts, text[last:]])

    def attribute(self, text: str) -> str:
        """Set an attribute's value aside, escaped; Liquid in it stays Liquid."""
        quoted = Marks()
        return self.hold(quoted.restore(escape(quoted.protect(text))))

    def restore(self, text: str) -> str:
        """Put every piece back, once: a piece that looks like a mark stays what it is."""
        return MARK.sub(self._piece, text)

    def _piece(self, found: re.Match[str]) -> str:
        number = int(found.group(1))
        return self.pieces[number] if number < len(self.pieces) else ""


class Links:
    """The destinations of one message, in order of appearance, each under the name of its Liquid variable."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def place(self, url: str, *, field: str) -> str:
        """The Liquid that becomes the tracked address of `url`; mailto: and tel: stay as they are."""
        if url.startswith(("mailto:", "tel:")) and not _is_template(url):
            return escape(url)
        check_url(url, field=field)
        if url not in self.urls:
            self.urls.append(url)
        return f"{{{{ link_{self.urls.index(url)} }}}}"


def _is_template(url: str) -> bool:
    return any(end > 0 for _, end in pieces(url))


def check_url(url: str, *, field: str) -> None:
    """Raise Invalid unless `url` is a whole http(s) address without Liquid: destinations are fixed at scheduling."""
    if _is_template(url) or MARK.search(url):
        raise Invalid("A link leads to one fixed address: write it out, without Liquid.", field=field)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port is not False
    except ValueError:
        valid = False
    if valid and "@" in parts.netloc:  # shop.example@evil.example leads to evil.example
        raise Invalid(
            f"'{url[:80]}' leads to {parts.hostname}: what stands before an @ is no part of the address. Leave it out.",
            field=field,
        )
    if not valid or len(url) > URL_LIMIT or any(c.isspace() or not c.isprintable() for c in url):
        raise Invalid(f"'{url[:80]}' is no web address; write it whole, like https://shop.example/sale.", field=field)


def to_html(text: str, marks: Marks, links: Links, *, field: str) -> str:
    """Paragraphs (blank line between), line breaks, **bold** and [text](address) as clean HTML with marks."""
    safe = escape(marks.protect(text.strip().replace("\r\n", "\n")), quote=False)
    linked = LINK.sub(lambda found: _anchor(found, marks, links, field), safe)
    bold = BOLD.sub(r"<strong>\1</strong>", linked)
    body = "".join(f"<p>{part.strip()}</p>" for part in re.split(r"\n\s*\n", bold)).replace("\n", "<br>")
    return nh3.clean(body, tags=TAGS, attributes={"a": {"href"}}, link_rel=None)


def _anchor(found: re.Match[str], marks: Marks, links: Links, field: str) -> str:
    url = found.group(2).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return f'<a href="{marks.hold(links.place(url, field=field))}">{found.group(1)}</a>'


def to_text(text: str, links: Links, *, field: str) -> str:
    """The same for the plain-text part: `text (address)`, no asterisks."""
    marks = Marks()
    protected = marks.protect(text.strip().replace("\r\n", "\n"))
    linked = LINK.sub(lambda found: f"{found.group(1)} ({links.place(found.group(2), field=field)})", protected)
    return marks.restore(BOLD.sub(r"\1", linked))


def track_addresses(text: str, links: Links, *, field: str) -> str:
    """Every bare http(s) address in a text (SMS) becomes a tracked one; the full stop after it stays outside."""
    marks = Marks()

    def place(found: re.Match[str]) -> str:
        url = found.group().rstrip(".,;:!?)'")
        return links.place(url, field=field) + found.group()[len(url) :]

    return marks.restore(ADDRESS.sub(place, marks.protect(text)))
