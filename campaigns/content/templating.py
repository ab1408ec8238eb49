"""Liquid, bounded: marketers' templates see plain dicts, and none of them can hold the house up.

Limits (a mail needs a hundredth of each): 20,000 characters of source, 1,000 characters and 50 blanks in a row within
one {{ }} or {% %}, 1,000 loop iterations, 200 KB of variables, 500 KB of output, 0.25 s of the thread's own time (so
that a busy machine fails no mail). No include, no render, no filter that switches escaping off.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any, Final

from liquid import BoundTemplate, Environment, RenderContext
from liquid.exceptions import LiquidError
from liquid.output import LimitedStringIO

from engine.errors import Invalid, nearest

SOURCE_LIMIT: Final = 20_000
SIZE_LIMIT: Final = 500_000
PIECE_LIMIT: Final = 1_000
SECONDS: Final = 0.25
LOOPS: Final = 1_000
DIGITS: Final = 4_096  # bits of a number

# What a template may name. `attributes` are the shop's own fields: any name goes.
VARIABLES: Final[Mapping[str, frozenset[str]]] = {
    "contact": frozenset(
        {"key", "email", "phone", "first_name", "last_name", "name", "age", "birth_date", "income", "education"}
        | {"household_size", "country", "region", "city", "postcode", "language", "origin", "attributes"}
    ),
    "shop": frozenset({"name", "address"}),
    "campaign": frozenset({"name"}),
}

OURS: Final = re.compile(r"(link|items)_.*|.*_url|contact|shop|campaign")  # names that the way out and links live by
CLOSING: Final = {"{{": "}}", "{%": "%}"}
OPENING: Final = re.compile(r"{{|{%")
TAG: Final = re.compile(r"{%-?\s*(?!(?:raw|doc)\b)[#\w]")  # an unclosed raw is looked for from every raw anew
BLANKS: Final = re.compile(r"\s{51}")
LITERAL: Final = re.compile(r""""[^"]*"|'[^']*'""")

CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
REMOVED_TAGS: Final = ("include", "render")
REMOVED_FILTERS: Final = ("safe", "escapejs", "base64_decode", "base64_url_safe_decode", "url_decode")
GROWING: Final[Mapping[str, Callable[..., int]]] = {  # how long the answer can get, before it is made
    "replace": lambda value, old, new="": value.count(old) * len(new),
    "join": lambda value, separator=" ": len(value) * len(separator),
}

_clock = threading.local()


def _check_time() -> None:
    if time.thread_time() > getattr(_clock, "deadline", float("inf")):
        raise LiquidError("the template takes too long", token=None)


class _Output(LimitedStringIO):
    def write(self, text: str) -> int:
        _check_time()
        return super().write(text)


class _Context(RenderContext):
    def get_buffer(self, buf: Any = None) -> StringIO:
        return _Output(SIZE_LIMIT - getattr(buf, "size", 0))


class _Template(BoundTemplate):
    context_class = _Context

    def _get_buffer(self) -> StringIO:
        return _Output(SIZE_LIMIT)


class _Environment(Environment):
    context_depth_limit = 30
    loop_iteration_limit = LOOPS
    local_namespace_limit = 200_000
    output_stream_limit = SIZE_LIMIT
    template_class = _Template

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for name in REMOVED_TAGS:
            del self.tags[name]
        for name in REMOVED_FILTERS:
            del self.filters[name]
        for name, function in self.filters.items():
            self.filters[name] = _bounded(name, function)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing to make a text or number larger than a whole mail."""
    growth = GROWING.get(name.removesuffix("_first").removesuffix("_last"))

    @functools.wraps(function)  # keeps the marks by which python-liquid passes context and environment
    def run(value: Any, *given: Any, **named: Any) -> Any:
        _check_time()
        if any(isinstance(one, range) and one.stop - one.start > LOOPS for one in (value, *given)):
            raise LiquidError(f"a range of more than {LOOPS:,} steps", token=None)
        if growth and growth(_sized(value), *map(str, given)) > SIZE_LIMIT:
            raise LiquidError(f"{name} makes too long a text", token=None)
        result = function(value, *given, **named)
        if (isinstance(result, str) and len(result) > SIZE_LIMIT) or (
            isinstance(result, int) and result.bit_length() > DIGITS
        ):
            raise LiquidError(f"{name} makes too large a value", token=None)
        return result

    return run


def _sized(value: Any) -> Any:
    return value if isinstance(value, str | list | tuple) else str(value)


HTML: Final = _Environment(autoescape=True)
TEXT: Final = _Environment()


def pieces(source: str) -> Iterator[tuple[int, int]]:
    """Where each {{ }} and {% %} begins and ends, -1 for one that is never closed. One pass over the text."""
    until, missing = 0, set()
    for found in OPENING.finditer(source):
        opening, start = found.group(), found.start()
        if start < until:
            continue
        end = -1 if opening in missing else source.find(CLOSING[opening], found.end())
        if end < 0:  # nor is any later one: do not look again
            missing.add(opening)
            yield start, -1
        else:
            until = end + 2
            yield start, until


def parse(source: str, *, field: str, environment: Environment = TEXT) -> BoundTemplate:
    """Compile a template; raises Invalid with `field` and the line of the fault."""
    _scan(source, field)
    try:
        return environment.from_string(source)
    except LiquidError as error:
        raise Invalid(_sentence(error, end=_line(source, len(source))), field=field) from None


def check(source: str, *, field: str) -> None:
    """Raise Invalid when a marketer's template is too long, does not compile or names what does not exist."""
    if len(source) > SOURCE_LIMIT:
        raise Invalid(f"This text has {len(source):,} characters; at most {SOURCE_LIMIT:,} are allowed.", field=field)
    if CONTROL.search(source):
        raise Invalid("This text holds a control character; remove it.", field=field)
    found = parse(source, field=field).analyze()
    for name, uses in found.locals.items():
        if OURS.fullmatch(name):
            line = _line(source, uses[0].span.index)
            raise Invalid(f"Line {line}: '{name}' is a name of ours; choose another one.", field=field)
    for name, uses in found.globals.items():
        for use in uses:
            _check_name([name, *map(str, use.segments[1:])], _line(source, use.span.index), field)
    for name, spans in found.filters.items():
        if name not in TEXT.filters:
            message = f"Line {_line(source, spans[0].index)}: no filter is called '{name}'."
            raise Invalid(message + nearest(name, TEXT.filters), field=field)


def _scan(source: str, field: str) -> None:
    """Refuse what python-liquid's expressions take the square of its length for (12 s for 20,000 blanks in one tag),
    and texts within Liquid that would be markup: Liquid puts its own texts out unescaped.
    """
    if len(source) > SIZE_LIMIT:
        raise Invalid(f"All of it has {len(source):,} characters; at most {SIZE_LIMIT:,} are allowed.", field=field)
    for start, end in pieces(source):
        piece = source[start:end] if end > 0 else ""
        if not piece:
            fault = f"'{source[start : start + 2]}' is never closed"
        elif len(piece) > PIECE_LIMIT:
            fault = f"{{{{ }}}} or {{% %}} holds more than {PIECE_LIMIT:,} characters"
        elif BLANKS.search(piece):
            fault = "{{ }} or {% %} holds more than 50 blanks in a row"
        elif piece.startswith("{%") and not TAG.match(piece):
            fault = "{% %} begins with the name of a tag such as if; raw and doc are none here"
        elif any(set(literal.group()) & {"<", ">"} for literal in LITERAL.finditer(piece)):
            fault = "a text inside {{ }} or {% %} cannot hold < or >"
        else:
            continue
        raise Invalid(f"Line {_line(source, start)}: {fault}.", field=field)


def _line(source: str, index: int) -> int:
    return source.count("\n", 0, index) + 1


def _check_name(path: list[str], line: int, field: str) -> None:
    known = VARIABLES.get(path[0])
    if known is None:
        raise Invalid(f"Line {line}: nothing is called '{path[0]}'.{nearest(path[0], VARIABLES)}", field=field)
    if len(path) > 1 and path[1] not in known:
        raise Invalid(f"Line {line}: {path[0]} has no '{path[1]}'.{nearest(path[1], known)}", field=field)


def render(template: BoundTemplate, data: Mapping[str, object]) -> str:
    """The text for one contact; raises Invalid when a limit is passed or a filter cannot work on what it got."""
    _clock.deadline = time.thread_time() + SECONDS
    try:
        return template.render(data)
    except LiquidError as error:
        raise Invalid(_sentence(error)) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError) as error:
        raise Invalid(f"The template cannot be filled in: {error}.") from None
    finally:
        del _clock.deadline


def _sentence(error: LiquidError, end: int | None = None) -> str:
    """What is wrong and on which line; a tag that is never closed is noticed on the last one, `end`."""
    place = error.context()
    line = place[0] if place else end
    text = str(error.message or "not understood").rstrip(".")
    return f"Line {line}: {text}." if line else f"The template cannot be filled in: {text}."
