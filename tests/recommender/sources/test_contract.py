"""What every source promises, on data whose answer is known by thought."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pytest

from recommender.fitted import stack
from recommender.interactions import Interactions, Items, Log
from recommender.sources import PERSONAL_SOURCES, SOURCES
from recommender.sources.base import NOTHING, Query, Settings, Source, explained
from recommender.sources.rules import Rules
from tests.recommender.shop import NOW, baskets, colours

SETTINGS = Settings(minimum_support=0.1, minimum_confidence=0.1)
EVERY = pytest.mark.parametrize("name", sorted(SOURCES))


def fitted(name: str, interactions: Interactions) -> Source:
    return SOURCES[name].fit(interactions, SETTINGS, seed=1)


def query(interactions: Interactions, rows: list[list[int]], excluded: list[list[int]] | None = None) -> Query:
    """The item ids of each row are looked at, bought in the past, and excluded."""
    width = len(interactions.item_ids)

    def matrix(lists: list[list[int]]) -> object:
        return stack([(interactions.numbers(np.array(ids, np.int64)), np.ones(len(ids))) for ids in lists], width)

    given = matrix(rows)
    barred = matrix(rows if excluded is None else excluded)
    return Query(given, given, barred, interactions.offerable)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rules", "collaborative"])
def test_withheld_item_comes_first(name: str) -> None:
    """On the checkerboard everybody is offered the one item of their colour that they lack, and it is first."""
    shop = colours()
    source = fitted(name, shop)
    rows = [[1 + i for i in range(20) if (c + i) % 2 == 0 and i != c] for c in range(0, 20, 2)]
    rows = [row for row in rows if len(row) == 9]
    found = source.candidates(query(shop, rows), 3)
    missing = [next(i for i in range(1, 21, 2) if i not in row) for row in rows]
    assert shop.item_ids[found.items[:, 0]].tolist() == missing
    if name == "rules":
        assert (found.items[:, 1] == NOTHING).all(), "the other colour was never bought together with this one"


@EVERY
def test_never_offers_what_is_excluded_or_not_allowed(name: str) -> None:
    """Nothing excluded, nothing that may not be offered, nothing twice; scores fall; rows are filled from the left."""
    shop = baskets([[1, 2, 3, 4], [1, 2, 3], [1, 2], [1, 2, 5], [3, 4, 5]] * 4, contacts=list(range(20)))
    asked = query(shop, [[1], [2, 3], []], excluded=[[1, 2], [], [5]])
    allowed = shop.item_ids != 4
    found = fitted(name, shop).candidates(Query(asked.context, asked.history, asked.excluded, allowed), 10)
    for row, barred in enumerate([[1, 2, 4], [4], [4, 5]]):
        items = found.items[row][found.items[row] != NOTHING]
        assert len(set(items)) == len(items)
        assert not set(shop.item_ids[items]) & set(barred)
        assert (np.diff(found.scores[row][: len(items)]) <= 0).all()
        assert (found.items[row][len(items) :] == NOTHING).all()


@EVERY
def test_one_question_and_many_agree(name: str) -> None:
    """A question alone gets what it gets among others."""
    shop = colours()
    rows = [[1, 3, 5], [2], [], [20, 4]]
    source = fitted(name, shop)
    together = source.candidates(query(shop, rows), 5)
    for place, row in enumerate(rows):
        alone = source.candidates(query(shop, [row]), 5)
        assert alone.items[0].tolist() == together.items[place].tolist()


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - PERSONAL_SOURCES))
def test_where_something_is_looked_at_history_matters_to_few(name: str) -> None:
    """All but PERSONAL_SOURCES find the same for everybody then: nobody's history needs to be read."""
    shop = colours()
    source, asked, other = fitted(name, shop), query(shop, [[1, 3]], [[]]), query(shop, [[2, 4, 6]], [[]])
    mixed = dataclasses.replace(asked, history=other.history)
    found, again = source.candidates(asked, 5), source.candidates(mixed, 5)
    assert found.items.tolist() == again.items.tolist()
    items = found.items[0][found.items[0] != NOTHING].astype(np.int64)
    assert source.explain(asked, 0, items) == source.explain(mixed, 0, items)


@EVERY
def test_every_candidate_has_a_reason(name: str) -> None:
    """`explain` says one reason for each item, naming only what was looked at or bought."""
    shop = colours()
    source, asked = fitted(name, shop), query(shop, [[1, 3, 5, 7]])
    items = source.candidates(asked, 5).items[0]
    items = items[items != NOTHING].astype(np.int64)
    reasons = source.explain(asked, 0, items)
    assert len(reasons) == len(items)
    given = set(shop.numbers(np.array([1, 3, 5, 7])).tolist())
    assert all(set(because.items) <= given for because in reasons)
    assert {because.kind for because in reasons} <= {name}


@EVERY
def test_many_reasons_are_those_of_each(name: str) -> None:
    """Why items are offered to many questions at once is why they are offered to each alone."""
    shop = colours()
    source = fitted(name, shop)
    rows = [[1, 3, 5], [2], [], [20, 4, 6, 8], list(range(1, 21))]
    asked = query(shop, rows, excluded=[[]] * len(rows))
    found = source.candidates(asked, 6).items
    row, place = np.nonzero(found != NOTHING)
    items = found[row, place].astype(np.int64)
    told = explained(source, asked, row, items)
    alone = [source.explain(asked, one, items[row == one]) for one in range(len(rows))]
    assert told == [why for some in alone for why in some]
    assert explained(source, asked, row[:0], items[:0]) == []


@EVERY
def test_survives_its_arrays(name: str) -> None:
    """A source restored from its arrays answers and explains the same."""
    shop = colours()
    source = fitted(name, shop)
    again = type(source).restore({key: np.array(array) for key, array in source.arrays().items()})
    asked = query(shop, [[1, 3], [2], []])
    before, after = source.candidates(asked, 5), again.candidates(asked, 5)
    assert before.items.tolist() == after.items.tolist()
    assert before.scores.tolist() == after.scores.tolist()
    items = before.items[0][before.items[0] != NOTHING].astype(np.int64)
    assert source.explain(asked, 0, items) == again.explain(asked, 0, items)


STRANGE = [
    Interactions(Log.of([]), Log.of([]), Items.of([]), NOW),
    Interactions(Log.of([]), Log.of([]), Items.of([(7, True, None)]), NOW),
    baskets([[7]]),
    baskets([[7]], contacts=[1]),
    baskets([list(range(1, 5001)), [1, 2], [1, 2], [1, 2]]),
]
STRANGE_IDS = ["empty shop", "one item, no order", "one guest", "one contact", "a basket of 5,000 lines"]


@EVERY
@pytest.mark.parametrize("shop", STRANGE, ids=STRANGE_IDS)
def test_strange_shops(name: str, shop: Interactions) -> None:
    """Nothing to learn from is no error, and neither is too much in one basket."""
    source = fitted(name, shop)
    asked = query(shop, [[7] if 7 in shop.item_ids else [], []])
    found = source.candidates(asked, 3)
    assert found.items.shape == (2, 3)
    source.explain(asked, 0, found.items[0][found.items[0] != NOTHING].astype(np.int64))


@EVERY
def test_repeats(name: str) -> None:
    """The same data and seed give the same source."""
    first, second = fitted(name, colours()).arrays(), fitted(name, colours()).arrays()
    assert {key: array.tolist() for key, array in first.items()} == {
        key: array.tolist() for key, array in second.items()
    }


def test_an_old_shop_teaches_as_well() -> None:
    """Fifteen years after its last order a shop teaches what it taught on the day after: tastes fade among one another,
    not into numbers too small for float32."""
    shop = colours()
    later = dataclasses.replace(shop, until=NOW + timedelta(days=15 * 365))
    then, now = fitted("collaborative", shop).arrays(), fitted("collaborative", later).arrays()
    assert len(then["weights"])
    assert {key: array.tolist() for key, array in then.items()} == {key: array.tolist() for key, array in now.items()}


def test_ranks_need_no_reasons() -> None:
    """Without reasons the rules are left out and every candidate is the same."""
    shop = baskets([[1, 2, 3, 4]] * 10 + [[1, 2], [3, 5], [4, 5]] * 5)
    whole, ranks = (Rules.fit(shop, dataclasses.replace(SETTINGS, reasons=wanted), seed=1) for wanted in (True, False))
    assert len(whole.consequents)
    assert not len(ranks.consequents)
    assert not ranks.pairs.nnz
    asked = query(shop, [[1], [2, 5], [3]])
    assert ranks.candidates(asked, 5).items.tolist() == whole.candidates(asked, 5).items.tolist()
