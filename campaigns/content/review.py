"""Looking a message over before it goes out: every fault at once, and what a careful eye would see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from campaigns.content import blocks, messages, sms, templating
from campaigns.models import Campaign, Variant
from engine.config import Config
from engine.errors import Invalid


@dataclass(frozen=True)
class Review:
    """What is wrong (message by field, such as `blocks[2].url`), and what to know: destinations, pictures without
    a description (their fields), contact fields that are printed as they are.
    """

    faults: dict[str, str]
    urls: tuple[str, ...] = ()
    silent_images: tuple[str, ...] = ()
    bare_fields: tuple[str, ...] = field(default=())


def review(campaign: Campaign, variant: Variant, config: Config) -> Review:
    """Look over a campaign's content; one fault per field, all fields."""
    faults = dict(_faults(campaign, variant, config))
    urls = () if faults else messages.check(campaign, variant, config)
    email = campaign.channel == "email"
    images = [f"blocks[{i}].alt" for i, b in enumerate(variant.blocks) if b["type"] == "image" and not b["alt"].strip()]
    return Review(faults, urls, tuple(images) if email else (), tuple(_bare(variant, email=email)))


def _faults(campaign: Campaign, variant: Variant, config: Config) -> Iterator[tuple[str, str]]:
    checks = _email(variant) if campaign.channel == "email" else _sms(variant, config)
    clean = True
    for path, check in checks:
        try:
            check()
        except Invalid as error:
            clean = False
            yield error.field or path, error.message
    if clean:  # what only shows when all of it comes together
        try:
            messages.check(campaign, variant, config)
        except Invalid as error:
            yield error.field or "blocks", error.message


Checks = Iterator[tuple[str, Callable[[], Any]]]


def _email(variant: Variant) -> Checks:
    yield "subject", lambda: _written(variant.subject, "subject", "Write a subject.")
    yield "preheader", lambda: templating.check(variant.preheader, field="preheader")
    for number, block in enumerate(variant.blocks):
        yield f"blocks[{number}]", lambda number=number, block=block: _block(number, block)  # type: ignore[misc]


def _sms(variant: Variant, config: Config) -> Checks:
    yield "text", lambda: _written(variant.text, "text", "Write the text of the message.")
    yield "text", lambda: sms.compile_sms(variant.text, language=config.locale.language)


def _written(text: str, name: str, missing: str) -> None:
    if not text.strip():
        raise Invalid(missing, field=name)
    templating.check(text, field=name)


def _block(number: int, block: dict[str, Any]) -> None:
    """Check one block as if it stood alone; a fault keeps the block's own place."""
    try:
        blocks.check_blocks([block])
        blocks.to_mjml([block], blocks.Build())
    except Invalid as error:
        path = (error.field or "blocks[0]").replace("blocks[0]", f"blocks[{number}]", 1)
        raise Invalid(error.message, field=path) from None


def _bare(variant: Variant, *, email: bool) -> Iterator[str]:
    """Contact fields that are printed without a default: who has none reads a gap."""
    texts = [variant.subject, variant.preheader] if email else [variant.text]
    texts += [value for block in variant.blocks for value in block.values() if email and isinstance(value, str)]
    found = [text[start:end] for text in texts for start, end in templating.pieces(text) if end > 0]
    printed = {piece[2:-2].strip() for piece in found if piece.startswith("{{")}
    yield from sorted(name.removeprefix("contact.") for name in printed if _is_bare(name))


def _is_bare(expression: str) -> bool:
    return expression.startswith("contact.") and "|" not in expression and expression.count(".") == 1
