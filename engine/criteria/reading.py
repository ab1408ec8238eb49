"""What stands within one condition, JSON -> checked: operators with their values, windows of time, inputs. Faults are
Invalid with the path to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from engine.catalogue import Catalogue
from engine.criteria import scored
from engine.criteria.duration import LAST, SCALES, Duration
from engine.criteria.nodes import Question, Window
from engine.criteria.operators import MANY, OPERATORS, Operator, fitting
from engine.database import EPOCH
from engine.errors import Invalid, nearest
from engine.fields import Field
from engine.values import TYPES, Clock

NAMING: Final = {"is", "is_not", "in", "not_in"}  # operators whose values are whole numbers of items, not parts of them


@contextmanager
def at(path: str) -> Iterator[None]:
    """Faults inside are at `path`, unless they know better."""
    try:
        yield
    except Invalid as error:
        if error.field is None:
            error.field = path
        raise


def join(path: str, key: str) -> str:
    """The path to a key of what is at `path`."""
    return f"{path}.{key}" if path else key


def only(data: Mapping[str, Any], known: Iterable[str], path: str) -> None:
    """Raise Invalid for a key that is not known."""
    for key in data:
        if key not in known:
            text = str(key)[:80]
            raise Invalid(f"Unknown key '{text}'.{nearest(text, known)}", field=join(path, text))


def word(given: Any) -> str:
    """A name; raises Invalid for anything else."""
    if not isinstance(given, str):
        raise Invalid("This must be a name.")
    return given


def find(table: Mapping[str, Any], given: Any, what: str) -> Any:
    """The row of a table by its key; raises Invalid that names the nearest."""
    if not isinstance(given, str):
        raise Invalid(f"The {what} is missing.{nearest('', table)}")
    if given not in table:
        raise Invalid(f"Unknown {what} '{given[:80]}'.{nearest(given[:80], table)}")
    return table[given]


@dataclass(frozen=True)
class Reader:
    """Reads values by what one shop's criteria may name."""

    catalogue: Catalogue

    def asked(self, data: Mapping[str, Any], path: str, found: Field) -> Question:
        """The question to a field; a reference must lead somewhere."""
        question = self.question(data, path, found.types)
        if found.type == "reference" and (gone := [one for one in question.values if one not in found.named]):
            message = f"There is no {found.label.en} {gone[0]}; choose one that is listed, or take this condition out."
            raise Invalid(message, field=join(path, "value"))
        return question

    def told(self, found: Field, question: Question) -> Field:
        """The field with the names of the items that are asked for: their numbers say little in a sentence."""
        if (found.key, found.table) != ("item", "items") or question.operator.key not in NAMING:
            return found
        return replace(found, named=self.catalogue.titles(question.values))

    def question(self, data: Mapping[str, Any], path: str, types: tuple[str, ...]) -> Question:
        """Operator and value, read as the first of `types` that fits both."""
        with at(join(path, "operator")):
            operator = find(OPERATORS, data.get("operator"), "operator")
            kinds = [kind for kind in types if kind in operator.types]
            if not kinds:
                known = {key for kind in types for key in fitting(kind)}
                positive = ", ".join(key for key in OPERATORS if key in known and not OPERATORS[key].negated)
                raise Invalid(
                    f"'{operator.key}' cannot be asked of {types[0]}. Possible: {positive}, and their contraries."
                )
        fault: Invalid | None = None
        for kind in kinds:
            try:
                return Question(operator, kind, self.values(operator, kind, data, path))
            except Invalid as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def values(self, operator: Operator, kind: str, data: Mapping[str, Any], path: str) -> tuple[Any, ...]:
        """The checked values, as many as the operator takes."""
        here = join(path, "value")
        if operator.values == 0:
            if "value" in data:
                raise Invalid(f"'{operator.key}' takes no value.", field=here)
            return ()
        if "value" not in data:
            raise Invalid(f"'{operator.key}' needs a value.", field=here)
        kind = operator.takes or kind
        if operator.values == 1:
            return (self.value(kind, data["value"], here),)
        given = data["value"]
        if not isinstance(given, list) or not given or len(given) > operator.most:
            raise Invalid(f"'{operator.key}' needs a list of 1 to {operator.most:,} values.", field=here)
        if operator.values != MANY and len(given) != operator.values:
            raise Invalid(f"'{operator.key}' needs {operator.values} values, not {len(given)}.", field=here)
        values = tuple(self.value(kind, value, f"{here}[{index}]") for index, value in enumerate(given))
        if operator.values == 2 and self.order(values[0]) > self.order(values[1]):
            raise Invalid("The first value must not be greater than the second.", field=here)
        return values

    def value(self, kind: str, given: Any, path: str) -> Any:
        """One checked value."""
        with at(path):
            return TYPES[kind].parse(given, self.catalogue.zone)

    def order(self, value: Any) -> Any:
        """What to compare values by: a day begins in the shop's zone."""
        return Clock(EPOCH, self.catalogue.zone).start(value) if isinstance(value, date) else value

    def window(self, data: Any, path: str) -> Window:
        """A stretch of time: last_days or the like (with before), or from and to."""
        if not isinstance(data, Mapping) or not data:
            raise Invalid(
                'This must be {"last_days": 90} (or last_hours, last_minutes), with "before" or not, or {"from": ...,'
                ' "to": ...}.',
                field=path,
            )
        lasting = [LAST + key for key in SCALES]
        only(data, (*lasting, "before") if {*lasting, "before"} & data.keys() else (*lasting, "from", "to"), path)
        last = self.duration(data, path, LAST)
        if "before" in data and last is None:
            raise Invalid('"before" goes with "last_days"; a window without a start is {"to": ...}.', field=path)
        read = {key: self.value("moment", given, join(path, key)) for key, given in data.items() if key not in lasting}
        window = Window(last, read.get("from"), read.get("to", read.get("before")))
        if window.start and window.end and self.order(window.start) >= self.order(window.end):
            raise Invalid("The window is empty: 'to' must be later than 'from'.", field=join(path, "to"))
        return window

    def duration(self, data: Mapping[str, Any], path: str, prefix: str = "") -> Duration | None:
        """How long, in the one scale that is named; None when none is."""
        named = [scale for scale in SCALES.values() if prefix + scale.key in data]
        if named[1:]:
            first, second, *_ = (prefix + scale.key for scale in named)
            raise Invalid(f"Give '{first}' or '{second}', not both.", field=join(path, second))
        for scale in named:
            with at(join(path, prefix + scale.key)):
                return scale.parse(data[prefix + scale.key])
        return None

    def inputs(self, kind: scored.Kind, data: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
        """The inputs that were given, checked."""
        only(data, kind.keys, path)
        inner, here = data[kind.key], join(path, kind.key)
        if not isinstance(inner, Mapping):
            raise Invalid(f"This must be an object, such as {kind.example[kind.key]}.", field=here)
        only(inner, kind.inner, here)
        for one in kind.inputs:
            holder, key = (inner, one.key.partition(".")[2]) if "." in one.key else (data, one.key)
            if key in holder:
                yield one.key, self.input(one, holder[key], join(path, one.key))

    def input(self, one: scored.Input, given: Any, path: str) -> Any:
        """One checked input."""
        value = self.value(one.type, given, path)
        if one.whole and not isinstance(value, int):
            raise Invalid("This must be a whole number.", field=path)
        if (one.least is not None and value < one.least) or (one.most is not None and value > one.most):
            raise Invalid(f"This must be a number from {one.least:,} to {one.most:,}.", field=path)
        return value
