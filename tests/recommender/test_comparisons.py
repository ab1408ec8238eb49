"""Comparisons of a placement: who sees what, starting, stopping, adopting and taking back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from scipy import stats
from sqlalchemy import select

from engine import identity
from engine.database import Database
from engine.errors import Conflict, Invalid, NotFound
from engine.models import Contact
from recommender import comparisons, placements
from recommender.answers import Answer, Request
from recommender.business import Rules
from recommender.comparisons import ARMS, Running
from recommender.models import Comparison
from recommender.placements import Plan
from recommender.serving import Recommender
from tests.recommender.shop import NOW

B = {"sources": ["newest"], "rules": {"in_stock": True}, "label": "New first"}
PLAN = Plan("home", "Home", ("popular",), Rules())


def begin(database: Database, recommender: Recommender | None = None, **given: object) -> int:
    """A comparison of the home page with `B`; its id."""
    with database.begin() as session:
        row = comparisons.start(session, "home", {}, B, now=NOW, **given)  # type: ignore[arg-type]
        found = row.id
    if recommender:
        recommender.reload()
    return found


def ask(recommender: Recommender, **given: object) -> Answer:
    with recommender.database.read() as session:
        return recommender.recommend(session, Request("home", n=3, **given), now=NOW)  # type: ignore[arg-type]


def drawn(salt: str, holdout: float = 0.1, share_b: float = 0.5) -> Running:
    return Running(7, salt, holdout, share_b, dict.fromkeys(ARMS, PLAN))


@pytest.mark.parametrize(("holdout", "share_b"), [(0.1, 0.5), (0.0, 0.5), (0.5, 0.2)])
def test_people_fall_into_arms_as_planned(holdout: float, share_b: float) -> None:
    """20,000 people: the split is as drawn, contacts and visitors alike, and everybody falls the same way again."""
    running = drawn("salt", holdout, share_b)
    planned = {"holdout": holdout, "a": (1 - holdout) * (1 - share_b), "b": (1 - holdout) * share_b}
    for names in (lambda n: (n, None), lambda n: (None, f"v{n}")):
        found = [running.variant(*names(number)) for number in range(1, 20_001)]
        counts = Counter(one.arm for one in found if one)
        arms = [arm for arm in ARMS if planned[arm]]
        assert set(counts) == set(arms)
        assert stats.chisquare([counts[arm] for arm in arms], [20_000 * planned[arm] for arm in arms]).pvalue > 1e-4
        assert found == [running.variant(*names(number)) for number in range(1, 20_001)]


def test_two_comparisons_do_not_fall_together() -> None:
    """Who is in b of one is in b of another by chance alone."""
    first, second = drawn("one", 0.0), drawn("two", 0.0)
    both = Counter((first.arm(f"contact {n}"), second.arm(f"contact {n}")) for n in range(20_000))
    assert stats.chisquare(list(both.values())).pvalue > 1e-4
    assert len(both) == 4


def test_nobody_is_in_no_arm() -> None:
    """Neither contact nor visitor: the placement as it is."""
    assert drawn("salt").variant(None, None) is None
    assert drawn("salt").variant(None, "") is None


@pytest.mark.usefixtures("shop")
def test_answers_tell_their_arm(recommender: Recommender, database: Database) -> None:
    """By `variant` and by the end of the recommendation id; the items are those of the arm's sources."""
    number = begin(database, recommender, holdout=0.4)
    with database.read() as session:
        a = set(placements.read(session)["home"].sources)
    sources = {"a": a, "b": {"newest"}, "holdout": set(comparisons.BEST_SELLERS)}
    seen = Counter[str]()
    with database.read() as session:
        ids = session.scalars(select(Contact.id).order_by(Contact.id)).all()
    for contact_id in ids:
        answer = ask(recommender, contact_id=contact_id)
        assert answer.variant in ARMS
        assert answer.recommendation_id.endswith(f".{number}{answer.variant[0]}")
        assert answer.placement == "home"
        assert {item.source for item in answer.items} <= sources[answer.variant]
        assert ask(recommender, contact_id=contact_id).variant == answer.variant
        seen[answer.variant] += 1
    assert set(seen) == set(ARMS)
    nobody = ask(recommender)
    assert nobody.variant is None
    assert nobody.recommendation_id.count(".") == 1
    with database.read() as session:
        elsewhere = recommender.recommend(session, Request("cart", contact_id=ids[0]), now=NOW)
        shown = recommender.recommend(session, Request("home", contact_id=ids[0]), now=NOW, plan=PLAN)
    assert (elsewhere.variant, shown.variant) == (None, None)


@pytest.mark.usefixtures("shop")
def test_a_batch_falls_as_one_by_one(recommender: Recommender, database: Database) -> None:
    """A mail shows everybody what the site shows them."""
    begin(database, recommender)
    with database.read() as session:
        ids = session.scalars(select(Contact.id).order_by(Contact.id)).all()
        many = recommender.recommend_many(session, "home", ids, 3, now=NOW)
    assert {arm.variant for arm in many.values()} >= {"a", "b"}
    for contact_id in ids:
        one = ask(recommender, contact_id=contact_id)
        assert (one.variant, [item.key for item in one.items]) == (
            many[contact_id].variant,
            [item.key for item in many[contact_id].items],
        )


@pytest.mark.usefixtures("shop")
def test_a_visitor_who_is_known_is_the_contact(recommender: Recommender, database: Database) -> None:
    """From the moment of identification all devices of a person see the contact's arm."""
    begin(database, recommender, holdout=0.0)
    with database.begin() as session:
        contact_id = session.scalars(select(Contact.id).order_by(Contact.id).limit(1)).one()
        identity.identify(session, "phone", contact_id, NOW)
        identity.identify(session, "laptop", contact_id, NOW)
    arms = {ask(recommender, visitor=name).variant for name in ("phone", "laptop")}
    assert arms == {ask(recommender, contact_id=contact_id).variant}


def test_start_says_what_is_wrong(database: Database) -> None:
    """Each fault by its field; nothing is written."""
    faults = [
        ("home", {}, {}, {}, "b"),
        ("home", {}, {"sources": ["wizard"]}, {}, "b.sources"),
        ("home", {"rules": {"margin_min": 7}}, B, {}, "a.rules.margin_min"),
        ("home", {}, {"placement": "nowhere"}, {}, "b.placement"),
        ("home", {}, B, {"holdout": 0.6}, "holdout"),
        ("home", {}, B, {"share_b": 0.01}, "share_b"),
        ("home", {}, B, {"days": 0}, "days"),
    ]
    for key, a, b, given, field in faults:
        with database.begin() as session, pytest.raises(Invalid) as fault:
            comparisons.start(session, key, a, b, now=NOW, **given)  # type: ignore[arg-type]
        assert fault.value.field == field
    with database.begin() as session, pytest.raises(NotFound):
        comparisons.start(session, "nowhere", {}, B, now=NOW)
    with database.read() as session:
        assert not session.scalars(select(Comparison)).all()


def test_one_runs_and_holds_the_placement(database: Database) -> None:
    """A second one, and an edit of the placement, wait until it is stopped; other placements do not."""
    begin(database)
    with database.begin() as session, pytest.raises(Conflict):
        comparisons.start(session, "home", {}, B, now=NOW)
    with database.begin() as session, pytest.raises(Conflict, match="comparison runs"):
        placements.edit(session, "home", name="Home", sources=["newest"], given={}, now=NOW)
    with database.begin() as session:
        placements.edit(session, "cart", name="Cart", sources=["newest"], given={}, now=NOW)
        comparisons.start(session, "cart", {}, {"placement": "email"}, now=NOW)
        comparisons.stop(session, "home", NOW)
    with database.begin() as session, pytest.raises(Conflict):
        comparisons.stop(session, "home", NOW)
    with database.begin() as session:
        placements.edit(session, "home", name="Home", sources=["popular"], given={}, now=NOW)
        assert comparisons.start(session, "home", {}, B, now=NOW).variant_a["sources"] == ["popular"]


def test_of_several_at_once_one_begins(database: Database) -> None:
    """And of several who adopt at once, one does: the way back stays the settings of before."""

    def at_once(act: Callable[[], object]) -> list[str]:
        def one(_number: int) -> str:
            try:
                act()
            except Conflict:
                return "conflict"
            return "done"

        with ThreadPoolExecutor(4) as pool:
            return sorted(pool.map(one, range(4)))

    def adopt() -> None:
        with database.begin() as session:
            comparisons.adopt(session, "home", "b", NOW)

    with database.read() as session:
        before = placements.read(session)["home"]
    assert at_once(lambda: begin(database)) == ["conflict", "conflict", "conflict", "done"]
    assert at_once(adopt) == ["conflict", "conflict", "conflict", "done"]
    with database.begin() as session:
        comparisons.take_back(session, "home", NOW)
        assert placements.read(session)["home"] == before


def test_adopting_and_taking_back(database: Database) -> None:
    """The placement takes the arm's settings under its own name, and has its old ones again."""
    with database.read() as session:
        before = placements.read(session)["home"]
    begin(database)
    with database.begin() as session:
        comparisons.adopt(session, "home", "b", NOW)
    with database.read() as session:
        plan = placements.read(session)["home"]
        assert (plan.name, plan.sources) == (before.name, ("newest",))
        assert not comparisons.running(session)
    with database.begin() as session, pytest.raises(Conflict, match="already"):
        comparisons.adopt(session, "home", "a", NOW)
    with database.begin() as session:
        comparisons.take_back(session, "home", NOW)
        assert placements.read(session)["home"] == before
    with database.begin() as session:
        comparisons.adopt(session, "home", "holdout", NOW)
        assert placements.read(session)["home"].sources == comparisons.BEST_SELLERS
        placements.edit(session, "home", name="Home", sources=["newest"], given={}, now=NOW)
    with database.begin() as session, pytest.raises(Conflict, match="edited since"):
        comparisons.take_back(session, "home", NOW)
    with database.begin() as session, pytest.raises(NotFound):
        comparisons.adopt(session, "cart", "b", NOW)


def test_best_sellers_keep_what_may_be_shown() -> None:
    """Masks and what the person knows hold for those held out; boosts, variety and pins are what a variant tries."""
    plan = Plan("home", "Home", ("rules",), Rules(price_min=5, exclude_purchased=True, boost_margin=0.5, diversity=0.2))
    found = comparisons.best_sellers(plan)
    assert found.sources == comparisons.BEST_SELLERS
    assert (found.rules.price_min, found.rules.exclude_purchased) == (5, True)
    assert (found.rules.boost_margin, found.rules.diversity) == (0.0, 0.0)
