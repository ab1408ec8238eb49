"""An e-mail compiled once per campaign: blocks -> MJML -> HTML -> one Liquid template for all its recipients.

The footer (postal address, why you get this, unsubscribe, view in browser) is ours and cannot be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any, Final

from liquid import BoundTemplate
from mjml import mjml2html

from campaigns.content import blocks as kinds
from campaigns.content.templating import HTML, TEXT, parse
from campaigns.content.words import WORDS

CLIPPED: Final = 102_000  # Gmail cuts a message near 102 kB and hides the footer with it
LANGUAGES: Final = {"en": "en", "zh_Hans_CN": "zh-CN"}

HEAD: Final = (
    '<mj-attributes><mj-all font-family="-apple-system, Segoe UI, Helvetica, Arial, PingFang SC, Microsoft YaHei,'
    ' sans-serif"/><mj-text color="#1a1f26" font-size="16px" line-height="1.55"/><mj-table color="#1a1f26"'
    ' font-size="15px" line-height="1.4"/><mj-button background-color="#1f5fbf" color="#ffffff" border-radius="6px"'
    ' font-size="16px" font-weight="600" inner-padding="12px 24px"/></mj-attributes>'
    '<mj-style inline="inline">a { color: #1f5fbf; }</mj-style>'
)


@dataclass(frozen=True)
class Compiled:
    """An e-mail's templates, the destinations they link to (`link_0`, `link_1` ...) and its product blocks."""

    subject: BoundTemplate
    html: BoundTemplate
    text: BoundTemplate
    urls: tuple[str, ...]
    products: tuple[tuple[str, int], ...]


def compile_email(
    subject: str, preheader: str, blocks: Sequence[Mapping[str, Any]], *, language: str, pixel: bool
) -> Compiled:
    """Compile; raises Invalid with the field and line of the fault. The same content is compiled once."""
    return _compile(subject, preheader, json.dumps(blocks, sort_keys=True), language, pixel)


@lru_cache(maxsize=64)
def _compile(subject: str, preheader: str, content: str, language: str, pixel: bool) -> Compiled:
    blocks = json.loads(content)
    build = kinds.Build()
    words = WORDS[language]
    body = kinds.to_mjml(blocks, build) + _footer(build, words)
    preview = escape(build.marks.protect(preheader), quote=False)
    title = escape(build.marks.protect(subject), quote=False)
    source = (
        f'<mjml lang="{LANGUAGES[language]}" dir="ltr"><mj-head><mj-title>{title}</mj-title>'
        f"<mj-preview>{preview}</mj-preview>{HEAD}</mj-head>"
        '<mj-body background-color="#f2f4f7"><mj-section background-color="#ffffff" padding="24px 0"><mj-column>'
        f"{body}</mj-column></mj-section>"
        f"{'<mj-raw>' + build.marks.hold(PIXEL) + '</mj-raw>' if pixel else ''}</mj-body></mjml>"
    )
    html = build.marks.restore(mjml2html(source, disable_comments=False, fonts={}))
    text = kinds.to_text(blocks, build.links) + "\n\n--\n" + FOOTER_TEXT.format_map(_sentences(words))
    return Compiled(
        subject=parse(subject, field="subject"),
        html=parse(html, field="blocks", environment=HTML),
        text=parse(text, field="blocks", environment=TEXT),
        urls=tuple(build.links.urls),
        products=tuple(kinds.product_blocks(blocks)),
    )


PIXEL: Final = '<img src="{{ pixel_url }}" width="1" height="1" alt="" style="display:block;width:1px;height:1px">'
FOOTER: Final = (
    '{why}<br>{{{{ shop.name }}}}, {{{{ shop.address }}}}<br><a href="{{{{ unsubscribe_url }}}}" style="color:#5b6470">'
    '{unsubscribe}</a> &middot; <a href="{{{{ view_url }}}}" style="color:#5b6470">{view}</a>'
)
FOOTER_TEXT: Final = (
    "{why}\n{{{{ shop.name }}}}, {{{{ shop.address }}}}\n{unsubscribe}: {{{{ unsubscribe_url }}}}\n"
    "{view}: {{{{ view_url }}}}\n"
)


def _sentences(words: Mapping[str, str]) -> dict[str, str]:
    return {**words, "why": words["why"].format(shop="{{ shop.name }}")}


def _footer(build: kinds.Build, words: Mapping[str, str]) -> str:
    html = build.marks.hold(FOOTER.format_map(_sentences(words)))
    return (
        '<mj-divider border-width="1px" border-color="#e3e7ec"/>'
        f'<mj-text font-size="12px" line-height="1.6" color="#5b6470" align="center">{html}</mj-text>'
    )
