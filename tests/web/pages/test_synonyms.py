"""Other words for what a condition can be about."""

from __future__ import annotations

import json
from html import escape

import pytest

import recommender
from engine.criteria import scored
from engine.fields import BEHAVIOURS, FIELDS, ROW_FIELDS
from tests.conftest import HeaderClient
from web.pages.lists.draft import BLANK
from web.pages.lists.synonyms import SYNONYMS


def test_each_stands_for_something() -> None:
    """No row is for what is not there, and none repeats a word."""
    assert recommender
    there = {f"field:{key}" for rows in (FIELDS, *ROW_FIELDS.values()) for key in rows}
    there |= {f"event:{key}" for key in BEHAVIOURS} | {f"{key}:" for key in (*scored.KINDS, "sequence", "list")}
    assert SYNONYMS.keys() <= there
    assert all(len(words) == len(set(words)) and "|" not in "".join(words) for words in SYNONYMS.values())


@pytest.mark.parametrize(
    ("word", "subject"),
    [("bought", "event:order"), ("birthday", "field:birth_date"), ("zip", "field:postcode"), ("refund", "event:return"),
     ("coupon", "field:discounted_orders"), ("newsletter", "field:email_consent"), ("visited", "event:store_visit"),
     ("loyalty", "field:order_count"), ("vip", "field:spend"), ("邮编", "field:postcode"), ("购买", "event:order")],
)  # fmt: skip
def test_found_by_other_words(marketer: HeaderClient, word: str, subject: str) -> None:
    """The choice in the page carries them."""
    page = marketer.get("/lists/new", query_string={"q": json.dumps({"all": [BLANK]})}).text
    told = page.partition(f'<option value="{subject}" data-also="')[2].partition('"')[0]
    assert escape(word) in told.split("|")
