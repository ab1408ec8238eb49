"""The operator table: one row gives key, types, values, Ibis test, words, UI control, documentation and test cases.

A test may be NULL where the value is unknown; the compiler turns NULL into false *before* anything is negated.
So the opposite of an operator ("is not", "not between") is true for everyone for whom the operator is not true,
people whose value is unknown included.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from operator import and_, or_
from typing import Any, Final

from engine.criteria.comparisons import (
    Test,
    anniversary_in_last,
    anniversary_in_next,
    away,
    between,
    bottom,
    first,
    has,
    in_last,
    in_next,
    in_period,
    local,
    one_of,
    past,
    same,
    text,
    top,
    within,
)
from engine.values import CHOICES_LIMIT, Words

MANY: Final = -1
MANY_LIMIT: Final = 1_000

TEXTS: Final = ("text", "choice", "path")
NUMBERS: Final = ("number", "money")
TIMES: Final = ("date", "moment")
EVERY: Final = (*TEXTS, *NUMBERS, *TIMES, "yes_no", "reference", "choices")

CONTROLS: Final = (
    "none",
    "value",
    "range",
    "several",
    "days",
    "count",
    "percent",
    "month",
    "weekday",
    "period",
    "pattern",
)


@dataclass(frozen=True)
class Case:
    """What the operator says of one stored value, at 2026-03-02 09:00 UTC: documentation and test."""

    type: str
    stored: Any
    given: tuple[Any, ...]
    expected: bool


@dataclass(frozen=True)
class Operator:
    """One row of the table."""

    key: str
    types: tuple[str, ...]
    values: int  # 0, 1, 2 or MANY
    test: Test
    words: Words  # after "whose age", 年龄; {0}, {1} are the values in words
    opposite: str  # key of the operator that says the contrary
    opposite_words: Words
    control: str  # input in the UI: one of CONTROLS
    doc: str
    cases: tuple[Case, ...] = field(compare=False)
    amount: Words | None = None  # before a unit: "at least 3" times
    takes: str | None = None  # type of the values when it is not the field's own
    most: int = MANY_LIMIT  # of MANY values
    every: bool = False  # of MANY values must fit, not one
    compares: bool = False  # each value with those of everybody else
    negated: bool = False

    def contrary(self) -> Operator:
        """The operator that is true for everyone for whom this one is not."""
        return dataclasses.replace(
            self,
            key=self.opposite,
            opposite=self.key,
            words=self.opposite_words,
            opposite_words=self.words,
            amount=None,
            doc=f"The contrary of `{self.key}`, people whose value is unknown included.",
            cases=tuple(dataclasses.replace(case, expected=not case.expected) for case in self.cases),
            negated=not self.negated,
        )


_NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_DAY: Final = date(2026, 3, 1)

_ROWS: Final = (
    Operator(
        "is", (*TEXTS, *NUMBERS, "yes_no", "reference"), 1, same,
        Words("is {0}", "为{0}"), "is_not", Words("is not {0}", "不为{0}"), "value",
        "Equal; text without regard to case.",
        (
            Case("text", "Zoë O'Neil 🙂", ("ZOË O'NEIL 🙂",), True), Case("text", "Zoe", ("Zo",), False),
            Case("text", "100%", ("1__%",), False), Case("number", 25, (25,), True),
            Case("money", 125000, (12.5,), True), Case("yes_no", False, (False,), True),
            Case("number", None, (0,), False),
        ),
        amount=Words("exactly {0}", "恰好{0}"),
    ),
    Operator(
        "in", (*TEXTS, *NUMBERS, "reference"), MANY, one_of,
        Words("is {0}", "为{0}"), "not_in", Words("is not {0}", "不为{0}"), "several",
        "Equal to one of up to 1,000 values.",
        (
            Case("choice", "France", ("germany", "france"), True), Case("choice", "Spain", ("Germany",), False),
            Case("number", 3, (1, 3), True), Case("choice", None, ("France",), False),
        ),
    ),
    Operator(
        "contains", TEXTS, 1, text("contains"),
        Words("contains {0}", "包含{0}"), "not_contains", Words("does not contain {0}", "不包含{0}"), "value",
        "The text occurs anywhere in the value.",
        (
            Case("text", "Red wine", ("WINE",), True), Case("text", "Red wine", ("%",), False),
            Case("text", "a\\b", ("\\",), True), Case("text", None, ("a",), False),
        ),
    ),
    Operator(
        "starts_with", TEXTS, 1, text("startswith"),
        Words("starts with {0}", "以{0}开头"), "not_starts_with",
        Words("does not start with {0}", "不以{0}开头"), "value",
        "The value begins with the text.",
        (Case("text", "SW1A 1AA", ("sw1",), True), Case("text", "ESW1", ("SW1",), False)),
    ),
    Operator(
        "ends_with", TEXTS, 1, text("endswith"),
        Words("ends with {0}", "以{0}结尾"), "not_ends_with", Words("does not end with {0}", "不以{0}结尾"), "value",
        "The value ends with the text.",
        (
            Case("text", "ann@shop.example", ("@SHOP.EXAMPLE",), True),
            Case("text", "ann@shop.example.org", (".example",), False),
        ),
    ),
    Operator(
        "within", ("path",), 1, within,
        Words("is in {0}", "属于{0}"), "not_within", Words("is not in {0}", "不属于{0}"), "value",
        "The category itself or one below it.",
        (
            Case("path", "Food > Wine > Red", ("food > wine",), True),
            Case("path", "Food > Wine", ("Food > Wine",), True),
            Case("path", "Food > Winegums", ("Food > Wine",), False),
        ),
    ),
    Operator(
        "at_least", NUMBERS, 1, lambda column, values, _clock: column >= values[0],
        Words("is at least {0}", "不低于{0}"), "not_at_least", Words("is not at least {0}", "达不到{0}"), "value",
        "The value or more.",
        (
            Case("number", 25, (25,), True), Case("number", 24.9, (25,), False),
            Case("money", 100001, ("10.0001",), True),
        ),
        amount=Words("at least {0}", "至少{0}"),
    ),
    Operator(
        "at_most", NUMBERS, 1, lambda column, values, _clock: column <= values[0],
        Words("is at most {0}", "不高于{0}"), "not_at_most", Words("is not at most {0}", "不在{0}以内"), "value",
        "The value or less.",
        (Case("number", 25, (25,), True), Case("number", 26, (25,), False), Case("number", None, (25,), False)),
        amount=Words("at most {0}", "至多{0}"),
    ),
    Operator(
        "more_than", NUMBERS, 1, lambda column, values, _clock: column > values[0],
        Words("is more than {0}", "大于{0}"), "not_more_than", Words("is not more than {0}", "不大于{0}"), "value",
        "More than the value.",
        (Case("number", 26, (25,), True), Case("number", 25, (25,), False)),
        amount=Words("more than {0}", "超过{0}"),
    ),
    Operator(
        "less_than", NUMBERS, 1, lambda column, values, _clock: column < values[0],
        Words("is less than {0}", "小于{0}"), "not_less_than", Words("is not less than {0}", "不小于{0}"), "value",
        "Less than the value.",
        (Case("number", 24, (25,), True), Case("number", 25, (25,), False)),
        amount=Words("less than {0}", "少于{0}"),
    ),
    Operator(
        "between", (*NUMBERS, *TIMES), 2, between,
        Words("is between {0} and {1}", "在{0}至{1}之间"), "not_between",
        Words("is not between {0} and {1}", "不在{0}至{1}之间"), "range",
        "Both ends belong to it; a date stands for its whole day.",
        (
            Case("number", 25, (18, 25), True), Case("number", 26, (18, 25), False),
            Case("number", None, (18, 25), False), Case("date", _DAY, ("2026-02-01", "2026-03-01"), True),
            Case("moment", _NOON, ("2026-02-01", "2026-03-01"), True),
            Case("moment", _NOON, ("2026-02-01", "2026-03-01T11:59"), False),
        ),
        amount=Words("between {0} and {1}", "{0}至{1}"),
    ),
    Operator(
        "on", TIMES, 1, lambda column, values, clock: between(column, (values[0], values[0]), clock),
        Words("is {0}", "为{0}"), "not_on", Words("is not {0}", "不为{0}"), "value",
        "On that day.",
        (Case("date", _DAY, ("2026-03-01",), True), Case("moment", _NOON, ("2026-03-01",), True),
         Case("moment", _NOON, ("2026-03-02",), False)),
    ),
    Operator(
        "before", TIMES, 1, lambda column, values, clock: column < first(column, values[0], clock),
        Words("is before {0}", "早于{0}"), "not_before", Words("is not before {0}", "不早于{0}"), "value",
        "Before the day begins.",
        (Case("date", _DAY, ("2026-03-02",), True), Case("date", _DAY, ("2026-03-01",), False),
         Case("moment", _NOON, ("2026-03-01T12:00:01",), True)),
    ),
    Operator(
        "after", TIMES, 1, lambda column, values, clock: column >= past(column, values[0], clock),
        Words("is after {0}", "晚于{0}"), "not_after", Words("is not after {0}", "不晚于{0}"), "value",
        "After the day has ended.",
        (Case("date", _DAY, ("2026-02-28",), True), Case("moment", _NOON, ("2026-03-01",), False)),
    ),
    Operator(
        "in_last", TIMES, 1, in_last,
        Words("is in the last {0} days", "在最近{0}天内"), "not_in_last",
        Words("is not in the last {0} days", "不在最近{0}天内"), "days",
        "From so many days ago until now; dates count whole days, today included.",
        (Case("moment", _NOON, (1,), True), Case("moment", datetime(2026, 3, 1, 8, tzinfo=UTC), (1,), False),
         Case("date", _DAY, (2,), True), Case("date", _DAY, (1,), False)),
        takes="days",
    ),
    Operator(
        "in_next", TIMES, 1, in_next,
        Words("is in the next {0} days", "在未来{0}天内"), "not_in_next",
        Words("is not in the next {0} days", "不在未来{0}天内"), "days",
        "From now until so many days later; dates count whole days, from tomorrow.",
        (Case("date", date(2026, 3, 3), (1,), True), Case("date", date(2026, 3, 2), (1,), False),
         Case("moment", _NOON, (9,), False)),
        takes="days",
    ),
    Operator(
        "days_ago", TIMES, 1, lambda column, values, clock: column < away(column, -values[0], clock),
        Words("is more than {0} days ago", "早于{0}天前"), "not_days_ago",
        Words("is not more than {0} days ago", "不早于{0}天前"), "days",
        "Longer ago than so many days: earlier than all that `in_last` finds.",
        (Case("moment", datetime(2026, 3, 1, 8, tzinfo=UTC), (1,), True), Case("moment", _NOON, (1,), False),
         Case("date", _DAY, (1,), True), Case("date", _DAY, (2,), False)),
        takes="days",
    ),
    Operator(
        "matches", TEXTS, 1,
        lambda column, values, _clock: column.re_search(f"(?i){values[0]}"),
        Words("matches the pattern {0}", "符合模式{0}"), "not_matches",
        Words("does not match the pattern {0}", "不符合模式{0}"), "pattern",
        "A regular expression (RE2) fits some part of the value, without regard to case; `^` and `$` are its ends.",
        (
            Case("text", "SW1A 1AA", ("^sw[0-9]",), True), Case("text", "ESW1", ("^SW",), False),
            Case("text", "Mei 梅", ("梅$",), True), Case("text", None, (".*",), False),
        ),
        takes="pattern",
    ),
    Operator(
        "top_percent", NUMBERS, 1, top,
        Words("is among the highest {0}%", "位于最高的{0}%"), "not_top_percent",
        Words("is not among the highest {0}%", "不在最高的{0}%之中"), "percent",
        "Of the n contacts whose value is known, sorted from the highest, the first n × percent / 100, rounded up; and"
        " all whose value is that of the last of them.",
        (Case("number", 3, (1,), True), Case("money", 0, (100,), True), Case("number", None, (100,), False)),
        takes="percent", compares=True,
    ),
    Operator(
        "bottom_percent", NUMBERS, 1, bottom,
        Words("is among the lowest {0}%", "位于最低的{0}%"), "not_bottom_percent",
        Words("is not among the lowest {0}%", "不在最低的{0}%之中"), "percent",
        "The same from the lowest.",
        (Case("number", 3, (0.5,), True), Case("number", None, (100,), False)),
        takes="percent", compares=True,
    ),
    Operator(
        "in_period", TIMES, 1, in_period,
        Words("is {0}", "在{0}"), "not_in_period", Words("is not {0}", "不在{0}"), "period",
        "In a day, week (from Monday), month, quarter or year of the calendar, counted from today.",
        (
            Case("date", _DAY, ("yesterday",), True), Case("date", _DAY, ("last_week",), True),
            Case("date", _DAY, ("this_week",), False), Case("moment", _NOON, ("this_month",), True),
            Case("moment", _NOON, ("last_quarter",), False), Case("date", date(2027, 1, 1), ("next_year",), True),
        ),
        takes="period",
    ),
    Operator(
        "in_month", TIMES, 1, lambda column, values, clock: local(column, clock).month() == values[0],
        Words("is in {0}", "在{0}"), "not_in_month", Words("is not in {0}", "不在{0}"), "month",
        "In that month of any year.",
        (Case("date", _DAY, (3,), True), Case("moment", _NOON, (3,), True), Case("date", _DAY, (2,), False)),
        takes="month",
    ),
    Operator(
        "on_weekday", TIMES, 1,
        lambda column, values, clock: local(column, clock).day_of_week.index() == values[0] - 1,
        Words("is on a {0}", "在{0}"), "not_on_weekday", Words("is not on a {0}", "不在{0}"), "weekday",
        "On that day of the week, 1 (Monday) to 7.",
        (Case("date", _DAY, (7,), True), Case("moment", _NOON, (7,), True), Case("date", _DAY, (1,), False)),
        takes="weekday",
    ),
    Operator(
        "anniversary_in_next", TIMES, 1, anniversary_in_next,
        Words("has its anniversary in the next {0} days", "的周年日在未来{0}天内"), "not_anniversary_in_next",
        Words("does not have its anniversary in the next {0} days", "的周年日不在未来{0}天内"), "days",
        "Its day of the year comes round from tomorrow until so many days later; 29 February on 1 March in years"
        " without one.",
        (
            Case("date", date(1980, 3, 3), (1,), True), Case("date", date(1980, 3, 2), (1,), False),
            Case("moment", datetime(2020, 3, 12, tzinfo=UTC), (10,), True),
            Case("date", date(1981, 1, 5), (309,), True), Case("date", date(1981, 1, 6), (309,), False),
        ),
        takes="days",
    ),
    Operator(
        "anniversary_in_last", TIMES, 1, anniversary_in_last,
        Words("had its anniversary in the last {0} days", "的周年日在最近{0}天内"), "not_anniversary_in_last",
        Words("did not have its anniversary in the last {0} days", "的周年日不在最近{0}天内"), "days",
        "Its day of the year came round in the last so many days, today included.",
        (
            Case("date", date(1980, 3, 2), (1,), True), Case("date", date(1980, 3, 1), (1,), False),
            Case("date", date(1980, 2, 29), (2,), True), Case("date", date(1980, 2, 29), (1,), False),
            Case("date", date(1980, 12, 31), (62,), True), Case("date", date(1980, 12, 30), (62,), False),
        ),
        takes="days",
    ),
    Operator(
        "has_any", ("choices",), MANY, has(or_),
        Words("include {0}", "包含{0}"), "not_has_any", Words("do not include {0}", "不包含{0}"), "several",
        "One of up to 50 values is among those of the attribute, without regard to case.",
        (Case("choices", ["Red", "dry"], ("white", "RED"), True), Case("choices", ["Red"], ("Re",), False),
         Case("choices", [], ("Red",), False), Case("choices", None, ("Red",), False)),
        takes="choice", most=CHOICES_LIMIT,
    ),
    Operator(
        "has_all", ("choices",), MANY, has(and_),
        Words("include {0}", "同时包含{0}"), "not_has_all",
        Words("do not include all of {0}", "未同时包含{0}"), "several",
        "All of up to 50 values are among those of the attribute, without regard to case.",
        (Case("choices", ["Red", "dry"], ("DRY", "red"), True), Case("choices", ["Red"], ("Red", "dry"), False)),
        takes="choice", most=CHOICES_LIMIT, every=True,
    ),
    Operator(
        "has_at_least", ("choices",), 1, lambda column, values, _clock: column.length() >= values[0],
        Words("number at least {0}", "不少于{0}个"), "not_has_at_least",
        Words("do not number at least {0}", "达不到{0}个"), "count",
        "The attribute has so many values or more.",
        (Case("choices", ["a", "b"], (2,), True), Case("choices", [], (1,), False), Case("choices", None, (1,), False)),
        takes="count",
    ),
    Operator(
        "known", EVERY, 0, lambda column, _values, _clock: column.notnull(),
        Words("is known", "已知"), "unknown", Words("is unknown", "未知"), "none",
        "There is a value.",
        (Case("text", "x", (), True), Case("number", None, (), False)),
    ),
)  # fmt: skip

OPERATORS: Final = {row.key: row for pair in _ROWS for row in (pair, pair.contrary())}


def fitting(kind: str) -> dict[str, Operator]:
    """The operators that a value of this type can be asked with."""
    return {key: row for key, row in OPERATORS.items() if kind in row.types}
