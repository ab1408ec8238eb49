"""Definitions of forms and answers to them: whatever comes, it is read or refused in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Config
from engine.errors import Invalid
from engine.intake.kinds import KINDS
from engine.intake.values import Rules
from engine.sources import questions
from engine.sources.questions import LANGUAGES, TYPES, Question

RULES = Rules.of(Config(), datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "Bread", "yes", "1", "1e9", "1980-03-31", "a@b.example", "x" * 1001]
)
LABELS = st.text(min_size=1, max_size=20).filter(str.strip)
ROWS = st.fixed_dictionaries(
    {"label": LABELS, "type": st.sampled_from(sorted(TYPES)), "options": st.lists(LABELS, max_size=4)},
    optional={"required": st.booleans(), "target": st.sampled_from(["", "email", "age", "attributes.x", "key"]),
              "name": st.sampled_from(["", "a", "form", "b c"])},
)  # fmt: skip


@given(st.text(max_size=20), st.lists(ROWS, max_size=5), st.sampled_from(LANGUAGES))
def test_what_is_read_is_read_again(title: str, rows: list[dict[str, Any]], language: str) -> None:
    """A definition is refused with the path to the fault, or says the same when it comes back from the database."""
    try:
        definition = questions.parse({"title": title, "questions": rows, "language": language})
    except Invalid as error:
        assert error.field  # noqa: PT017  # either is right
        return
    assert questions.parse(definition.json()) == definition
    names = [question.name for question in definition.questions]
    assert len(set(names)) == len(names)
    assert not set(names) & set(questions.OWN)
    for question in definition.questions:
        assert KINDS["events"].column(f"properties.{question.name}") is not None
        assert not question.target or KINDS["contacts"].column(question.target) is not None


@given(st.sampled_from(sorted(TYPES)), st.booleans(), st.lists(TEXTS, max_size=4))
def test_any_answer_is_read_or_refused(kind: str, required: bool, texts: list[str]) -> None:
    """Never both, never a fault of ours; what is read is what intake takes."""
    question = Question("q", "Q", kind, required, ("Bread", "1") if TYPES[kind].options else ())
    values, faults = questions.read([question], {"q": texts}, RULES)
    given_any = any(text.strip() for text in texts)
    assert (len(values) + len(faults)) == (1 if given_any or required else 0)
    column = KINDS["events"].column("properties.q")
    assert column is not None
    for value in values.values():
        column.type.parse(value, RULES)


@pytest.mark.parametrize(("kind", "text", "value"), [
    ("number", "2,5", 2.5), ("number", "-3", -3), ("number", "1,234.5", None), ("number", "1e3", None),
    ("number", "٣", None), ("date", "2024-02-29", "2024-02-29"), ("date", "2023-02-29", None),
    ("date", "20240229", "2024-02-29"), ("date", "0001-01-01", None), ("phone", "07700 900123", "+447700900123"),
    ("email", "Ann@Shop.Example", "ann@shop.example"),
    ("yes_no", "no", False), ("yes_no", "on", None), ("one", "Bread", "Bread"), ("one", "bread", None),
])  # fmt: skip
def test_answers(kind: str, text: str, value: Any) -> None:
    """As people write them."""
    question = Question("q", "Q", kind, options=("Bread", "Cake") if TYPES[kind].options else ())
    values, faults = questions.read([question], {"q": [text]}, RULES)
    assert values == ({} if value is None else {"q": value})
    assert bool(faults) is (value is None)


@pytest.mark.parametrize(
    "address",
    ["https://a;script-src'unsafe-inline'/x", "https://*/x", "https://*.shop.example/", "https://a,b/", "https://-a/",
     "https://u@shop.example/", "https://shop.example;x", "https://[::1]/", "https://a'b/", "https://a..;/"],
)  # fmt: skip
def test_a_redirect_goes_to_a_plain_host(address: str) -> None:
    """Its host is written into the page's policy."""
    given = {"title": "A", "questions": [{"label": "B"}]}
    with pytest.raises(Invalid) as fault:
        questions.parse(given | {"redirect": address})
    assert fault.value.field == "redirect"
    for plain in ("https://shop.example", "https://Shop-1.example:8443/a;b'c?d=*", "https://a?x"):
        assert questions.parse(given | {"redirect": plain}).redirect == plain


def test_whither_an_address_leads_is_seen() -> None:
    """Not to the host after a user's name; the server's own address needs no https."""
    own = "http://127.0.0.1:8000"
    assert questions.check_https(f"{own}/f/abc", "target", own) == f"{own}/f/abc"
    for address in ("https://shop.test@evil.example/", "https://a:b@evil.example", f"{own}@evil.example/", f"{own}1/f"):
        with pytest.raises(Invalid):
            questions.check_https(address, "target", own)
