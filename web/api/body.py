"""How a body is read: JSON that means the same to every reader (I-JSON, RFC 7493), no deeper than anything needs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from apiflask import Schema
from apiflask.fields import Boolean, Integer
from apiflask.schema_adapters.marshmallow import parser
from flask import Request
from marshmallow import missing
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from engine.errors import Invalid

DEPTH: Final = 100  # criteria of 32 levels are 64 deep, and what holds them


class Whole(Integer):
    """A whole number of a query, in plain digits: Python reads "1_0", " 7" and digits of other alphabets as well."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,30}", value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Truth(Boolean):
    """true or false of a body, nothing that passes for one: not 0, "yes" or "on"."""

    def _deserialize(self, value: Any, *_given: Any, **_more: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Records(Schema):
    """A body whose records are checked one by one: a fault in one must not cost the others."""


@parser.location_loader("json")
def read(request: Request, schema: Schema) -> Any:
    """The body, or `missing` when there is none. Raises BadRequest, UnsupportedMediaType, or Invalid for text that
    cannot be stored.
    """
    data = request.get_data()
    if not data:
        return missing
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    found = parse(data)
    if isinstance(schema, Records):
        if not isinstance(found, dict):
            [name] = schema.fields
            raise Invalid(f'Send the records in an object: {{"{name}": [...]}}.', field=name)
    elif isinstance(found, dict):
        if b"\\u" in data:  # only written so can a text hold what a database cannot: the parser refuses it otherwise
            check_texts(found)
    else:
        raise Invalid(f"Send a JSON object, {{...}}, not {_KINDS[type(found)]}.")
    return found


_KINDS: Final = {
    list: "an array",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def parse(data: bytes) -> Any:
    """The value of a JSON text; raises BadRequest for one that readers would understand differently or not at all."""
    try:
        found = json.loads(data.decode(), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    if data.count(b"{") + data.count(b"[") <= DEPTH:
        return found
    level, depth = [found], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > DEPTH:
            raise _too_deep()
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return found


def check_texts(found: Any) -> None:
    """Raise Invalid for a value with text somewhere that a database cannot hold."""
    for path, text in _texts(found, ""):
        check_text(text, _told(path))


def check_text(text: str, path: str) -> None:
    """Raise Invalid for text that a database cannot hold."""
    if "\0" in text:
        raise Invalid("This holds a NUL character; remove it.", field=path or None)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("This holds half a character (a lone surrogate); remove it.", field=path or None) from None


def _told(path: str) -> str:
    """As other faults there are told: `context.items.0`, but `blocks[0].text`, and in criteria `all[0].value`."""
    if path.startswith(("criteria", "blocks")):
        return path.removeprefix("criteria.")
    return re.sub(r"\[([0-9]+)\]", r".\1", path)


def _texts(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, names too, with its path."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield path, name
            yield from _texts(child, f"{path}.{name}".lstrip("."))
    elif isinstance(node, list):
        for place, child in enumerate(node):
            yield from _texts(child, f"{path}[{place}]")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _too_deep() -> BadRequest:
    return BadRequest(f"The body is nested deeper than {DEPTH} levels.")
