"""The blocks of an e-mail: what each may hold, and how it becomes MJML and plain text. One row per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from campaigns.content import markup
from campaigns.content.markup import Links, Marks
from campaigns.content.templating import SOURCE_LIMIT, check
from engine.errors import Invalid, nearest

BLOCK_LIMIT: Final = 100
TEXT_LIMIT: Final = 200_000  # characters of all blocks together: Gmail cuts a mail at half of that
ITEMS: Final = range(1, 13)
PLACEMENT: Final = "email"


@dataclass
class Build:
    """One e-mail on its way from blocks to MJML."""

    marks: Marks = field(default_factory=Marks)
    links: Links = field(default_factory=Links)


@dataclass(frozen=True)
class Kind:
    """A kind of block. `fields` maps each field to its default; None: it must be given."""

    fields: Mapping[str, str | int | None]
    mjml: Callable[[Mapping[str, Any], Build, str], str]
    text: Callable[[Mapping[str, Any], Links, str], str]


def validate(blocks: Any) -> list[dict[str, Any]]:
    """The blocks with defaults filled in; raises Invalid with the path of the fault, such as `blocks[2].url`."""
    if not isinstance(blocks, list) or len(blocks) > BLOCK_LIMIT:
        raise Invalid(f"blocks must be a list of at most {BLOCK_LIMIT}.", field="blocks")
    kept = [_validate(block, f"blocks[{number}]") for number, block in enumerate(blocks)]
    if sum(len(value) for block in kept for value in block.values() if isinstance(value, str)) > TEXT_LIMIT:
        raise Invalid(f"All blocks together may hold {TEXT_LIMIT:,} characters.", field="blocks")
    return kept


def check_blocks(blocks: Sequence[Mapping[str, Any]]) -> None:
    """Raise Invalid when a block lacks something or a template in it does not compile."""
    for number, block in enumerate(blocks):
        for name, value in block.items():
            path = f"blocks[{number}].{name}"
            if value == "" and KINDS[block["type"]].fields.get(name, "") is None:
                raise Invalid(f"The {block['type']} block needs its {name}.", field=path)
            if isinstance(value, str):
                check(value, field=path)


def to_mjml(blocks: Sequence[Mapping[str, Any]], build: Build) -> str:
    """Elements of one MJML column, with marks."""
    return "".join(KINDS[b["type"]].mjml(b, build, f"blocks[{i}]") for i, b in enumerate(blocks))


def to_text(blocks: Sequence[Mapping[str, Any]], links: Links) -> str:
    """The plain-text part, a Liquid template."""
    return "\n\n".join(filter(None, (KINDS[b["type"]].text(b, links, f"blocks[{i}]") for i, b in enumerate(blocks))))


def product_blocks(blocks: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """The Liquid variable and number of items of each product block."""
    return [(_variable(f"blocks[{i}]"), b["n"]) for i, b in enumerate(blocks) if b["type"] == "products"]


def _validate(block: Any, path: str) -> dict[str, Any]:
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
        raise Invalid("A block is an object with a type.", field=path)
    kind = KINDS.get(block["type"])
    if kind is None:
        raise Invalid(f"No block is called '{block['type']}'.{nearest(block['type'], KINDS)}", field=f"{path}.type")
    for name in block:
        if name not in kind.fields and name not in ("type", "id"):
            raise Invalid(f"{block['type']} has no '{name}'.{nearest(name, kind.fields)}", field=f"{path}.{name}")
    return {"type": block["type"]} | {
        name: _value(block.get(name, default if default is not None else ""), default, f"{path}.{name}")
        for name, default in kind.fields.items()
    }


def _value(value: Any, default: str | int | None, path: str) -> str | int:
    if isinstance(default, int):
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value not in ITEMS:
            raise Invalid(f"This must be a whole number from {ITEMS[0]} to {ITEMS[-1]}.", field=path)
        return value
    if not isinstance(value, str):
        raise Invalid("This must be a text.", field=path)
    if len(value) > SOURCE_LIMIT:
        raise Invalid(f"This text has {len(value):,} characters; at most {SOURCE_LIMIT:,} are allowed.", field=path)
    return value


def _heading(block: Mapping[str, Any], build: Build, _path: str) -> str:
    text = escape(build.marks.protect(block["text"]), quote=False)
    return f'<mj-text font-size="26px" line-height="1.25" font-weight="700">{text}</mj-text>'


def _text(block: Mapping[str, Any], build: Build, path: str) -> str:
    html = markup.to_html(block["text"], build.marks, build.links, field=f"{path}.text")
    return f"<mj-text>{html}</mj-text>"


def _button(block: Mapping[str, Any], build: Build, path: str) -> str:
    href = build.marks.hold(build.links.place(block["url"], field=f"{path}.url"))
    label = escape(build.marks.protect(block["label"]), quote=False)
    return f'<mj-button href="{href}">{label}</mj-button>'


def _image(block: Mapping[str, Any], build: Build, path: str) -> str:
    markup.check_url(block["src"], field=f"{path}.src")
    link = block["url"] and build.marks.hold(build.links.place(block["url"], field=f"{path}.url"))
    alt, src = build.marks.attribute(block["alt"]), build.marks.attribute(block["src"])
    return f'<mj-image src="{src}" alt="{alt}"' + (f' href="{link}"' if link else "") + "/>"


def _divider(_block: Mapping[str, Any], _build: Build, _path: str) -> str:
    return '<mj-divider border-width="1px" border-color="#d8dde3"/>'


def _variable(path: str) -> str:
    return "items_" + path.removeprefix("blocks[").removesuffix("]")


# One row per item: survives narrow screens and Outlook without a media query.
ITEM_ROW: Final = (
    '<tr>{% if item.image_url %}<td style="width:96px;padding:8px 16px 8px 0">'
    '<a href="{{ item.url }}"><img src="{{ item.image_url }}" alt="" width="96"'
    ' style="display:block;width:96px;border-radius:6px"></a></td><td style="padding:8px 0">'
    '{% else %}<td colspan="2" style="padding:8px 0">{% endif %}'
    '<a href="{{ item.url }}" style="color:#1a1f26;font-weight:600;text-decoration:none">'
    "{{ item.title }}</a><br>{{ item.price }}<br>"
    '<span style="color:#5b6470;font-size:13px">{{ item.reason }}</span></td></tr>'
)


def _products(block: Mapping[str, Any], build: Build, path: str) -> str:
    hold, variable = build.marks.hold, _variable(path)
    title = escape(build.marks.protect(block["title"]), quote=False)
    row = hold(f"{{% for item in {variable} %}}{ITEM_ROW}{{% endfor %}}")
    return (
        f"<mj-raw>{hold(f'{{% if {variable}.size > 0 %}}')}</mj-raw>"
        f'<mj-text font-size="18px" font-weight="600">{title}</mj-text><mj-table>{row}</mj-table>'
        f"<mj-raw>{hold('{% endif %}')}</mj-raw>"
    )


def _products_text(block: Mapping[str, Any], _links: Links, path: str) -> str:
    variable = _variable(path)
    row = "\n- {{ item.title }}, {{ item.price }}: {{ item.url }}"
    return (
        f"{{% if {variable}.size > 0 %}}{block['title']}{{% for item in {variable} %}}{row}{{% endfor %}}{{% endif %}}"
    )


def _plain(name: str) -> Callable[[Mapping[str, Any], Links, str], str]:
    return lambda block, _links, _path: str(block[name])


def _text_text(block: Mapping[str, Any], links: Links, path: str) -> str:
    return markup.to_text(block["text"], links, field=f"{path}.text")


def _button_text(block: Mapping[str, Any], links: Links, path: str) -> str:
    return f"{block['label']}: {links.place(block['url'], field=f'{path}.url')}"


def _divider_text(_block: Mapping[str, Any], _links: Links, _path: str) -> str:
    return "---"


KINDS: Final[Mapping[str, Kind]] = {
    "heading": Kind({"text": None}, _heading, _plain("text")),
    "text": Kind({"text": None}, _text, _text_text),
    "button": Kind({"label": None, "url": None}, _button, _button_text),
    "image": Kind({"src": None, "alt": "", "url": ""}, _image, _plain("alt")),
    "divider": Kind({}, _divider, _divider_text),
    "products": Kind({"title": "", "n": 3}, _products, _products_text),
}
