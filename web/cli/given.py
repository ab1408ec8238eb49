"""What a command is given as a document: JSON or TOML, from a file or from standard input."""

from __future__ import annotations

import json
import tomllib
from datetime import date, time
from typing import Any, Final

import click

from engine.errors import Invalid, TooLarge

MOST: Final = 2**20  # characters, as many as the API takes


def document(source: str) -> dict[str, Any]:
    """The object in a JSON or TOML file ("-": on standard input), with times as texts. Raises Invalid, TooLarge."""
    with click.open_file(source, encoding="utf-8-sig") as file:
        try:
            text = file.read(MOST + 1)
        except UnicodeDecodeError:
            raise Invalid(f"{source} is not UTF-8 text.") from None
    if len(text) > MOST:
        raise TooLarge(f"{source} is longer than {MOST:,} characters.")
    read, kind = (json.loads, "JSON") if text.lstrip().startswith("{") else (tomllib.loads, "TOML")
    try:
        found = read(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{source} is not valid {kind}: {error}.") from None
    plain: dict[str, Any] = json.loads(json.dumps(found, default=_plain))
    return plain


def show(thing: Any) -> None:
    """Print as JSON, for a program."""
    click.echo(json.dumps(thing, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> str:
    """Times as ISO 8601."""
    return value.isoformat() if isinstance(value, date | time) else str(value)


as_json = click.option("--json", "as_json", is_flag=True, help="For a program.")
