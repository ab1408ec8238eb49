"""The table of business rules: what it reads, refuses and writes."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Faults, Invalid
from recommender.business import KINDS, RULES, Filter, Pin, Rules, parse

EXAMPLES: dict[str, Any] = {
    "truth": False, "amount": "12.5", "number": 1.5, "share": 0.5, "count": 3, "paths": ["Tea", "Food > Wine"],
    "items": ["A1"], "pins": [{"item": "A1", "position": 2, "from": "2026-12-01", "until": "2026-12-24"}],
    "buries": [{"item": "A1", "until": "2026-12-24"}],
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_each_rule_reads_what_it_writes(name: str) -> None:
    """JSON to rule and back is the same JSON; nothing else changes."""
    given = EXAMPLES[RULES[name].kind]
    written = parse({name: given}).json()
    assert written[name] == given
    assert parse(written) == parse({name: given})
    assert {other: value for other, value in written.items() if other != name} == {
        other: value for other, value in Rules().json().items() if other != name
    }


def test_the_table_is_whole() -> None:
    """Every rule has words, a kind that is known, and every part of the filter is a rule."""
    assert set(Filter._fields) <= set(RULES) == {one.name for one in fields(Rules)}
    for about in RULES.values():
        assert about.kind in KINDS
        assert about.label
        assert about.help.endswith(".")


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"price_mni": 1}, "price_mni", "Did you mean 'price_min'"),
        ({"in_stock": 1}, "in_stock", "true or false"),
        ({"in_stock": None}, "in_stock", "true or false"),
        ({"price_min": "cheap"}, "price_min", "amount"),
        ({"price_min": True}, "price_min", "amount"),
        ({"price_min": 0.00001}, "price_min", "four decimals"),
        ({"price_min": 3, "price_max": 2}, "price_max", "below the lower"),
        ({"margin_min": 1.1}, "margin_min", "from -1 to 1"),
        ({"margin_min": "0.1"}, "margin_min", "from -1 to 1"),
        ({"diversity": True}, "diversity", "from 0 to 1"),
        ({"category_cap": 0}, "category_cap", "from 1 to 100"),
        ({"category_cap": 1.5}, "category_cap", "whole number"),
        ({"categories": "Tea"}, "categories", "list"),
        ({"categories": ["Tea", ""]}, "categories.1", "text"),
        ({"suppressed": [7]}, "suppressed.0", "text"),
        ({"pins": [{"position": 1}]}, "pins.0.item", "Name the item"),
        ({"pins": [{"item": "A"}]}, "pins.0.position", "position"),
        ({"pins": [{"item": "A", "position": True}]}, "pins.0.position", "position"),
        ({"pins": [{"item": "A", "position": 1, "form": "2026-01-01"}]}, "pins.0.form", "Did you mean 'from'"),
        ({"buries": [{"item": "A", "position": 1}]}, "buries.0.position", "no 'position'"),
        ({"buries": [{"item": "A", "from": "1.2.2026"}]}, "buries.0.from", "like 2026-12-24"),
        ({"buries": [{"item": "A", "from": "2026-02-01", "until": "2026-01-01"}]}, "buries.0.until", "before"),
        ({"buries": ["A"]}, "buries.0", "object"),
    ],
)
def test_what_is_refused_names_the_place(given: dict[str, Any], field: str, words: str) -> None:
    """The path to the fault, and words that help."""
    with pytest.raises(Invalid, match=words) as caught:
        parse(given)
    assert caught.value.field == f"rules.{field}"


def test_all_that_is_wrong_is_told() -> None:
    """Every fault of every rule and entry, in their order; the first stands for all."""
    pins = [{"item": "A"}, {"item": "B", "position": 1}, {"position": 0, "from": "1.2.2026", "untli": "x"}]
    with pytest.raises(Faults) as caught:
        parse({"price_min": "cheap", "margin_min": 0.5, "margin_max": 0.1, "categories": ["", "Tea", 7], "pins": pins})
    assert [fault.field for fault in caught.value.found] == [
        f"rules.{place}"
        for place in (
            "price_min", "categories.0", "categories.2",
            "pins.0.position", "pins.2.untli", "pins.2.item", "pins.2.position", "pins.2.from",
            "margin_max",
        )
    ]  # fmt: skip
    first = caught.value.found[0]
    assert (caught.value.field, caught.value.message) == (first.field, first.message)


def test_the_days_of_a_pin() -> None:
    """Both ends are among them; without an end it holds for ever."""
    pin = Pin("A", 1, date(2026, 12, 1), date(2026, 12, 24))
    days = [date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 24), date(2026, 12, 25)]
    assert [pin.holds(day) for day in days] == [False, True, True, False]
    assert all(Pin("A", 1).holds(day) for day in days)


def test_every_rule_is_on_its_page() -> None:
    """docs/recommendations.md tells each rule in the table's words."""
    page = (Path(__file__).parents[2] / "docs" / "recommendations.md").read_text()
    for name, about in RULES.items():
        assert re.search(rf"^\| `{name}` \| .+ \| {re.escape(f'{about.label}. {about.help}')} \|$", page, re.MULTILINE)
