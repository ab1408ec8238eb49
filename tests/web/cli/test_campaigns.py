"""`rapport campaign` and `rapport recommend`: a marketer's and a storefront's job without a browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from campaigns.models import Campaign, Send
from engine.config import Config
from engine.database import Database
from engine.models import Contact
from tests.campaigns import shop
from tests.conftest import HeaderClient
from tests.recommender.shop import add_items, add_order
from web.cli import main
from web.services import utcnow

Rapport = Callable[..., Result]
EVERYBODY = '{"field": "email_consent", "operator": "is", "value": true}'
TOML = """
name = "Spring"
list_id = 1
subject = "Hello {{ contact.first_name }}"
fixed_cost = 12.50
[[blocks]]
type = "text"
text = "Come and see."
"""


@pytest.fixture
def rapport(config: Config, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rapport:
    """The command, in a workspace with 20 people and the list of those who may be written to."""
    with database.begin() as session:
        shop.crowd(session, 20, utcnow() - timedelta(days=1))
    monkeypatch.setenv("RAPPORT_WORKSPACE__PATH", config.workspace.path)
    monkeypatch.setenv("RAPPORT_DATABASE__URL", config.database.url)
    monkeypatch.setenv("RAPPORT_LOCALE__TIMEZONE", "Europe/London")
    monkeypatch.chdir(tmp_path)
    Path("everybody.json").write_text(EVERYBODY)

    def call(*words: object, **more: Any) -> Result:
        return CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False, **more)

    assert (
        call("list", "create", "Everybody", "--criteria", "everybody.json").output == "List 1, Everybody, is saved.\n"
    )
    return call


def test_from_a_file_to_the_report(rapport: Rapport, api: HeaderClient) -> None:
    """Written, estimated, scheduled, sent and read; what is shown for programs is what the API says."""
    Path("spring.toml").write_text(TOML)
    made = rapport("campaign", "create", "--file", "spring.toml", "--holdout", "0.25", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout) == api.get("/api/v1/campaigns/1").json
    assert json.loads(rapport("campaign", "list", "--json").stdout) == api.get("/api/v1/campaigns").json["campaigns"]
    assert json.loads(made.stdout)["fixed_cost"] == "12.5"
    forecast = json.loads(rapport("campaign", "estimate", 1, "--json").stdout)
    assert forecast["matched"] == 20 == forecast["held"] + forecast["sent"]
    assert f"{forecast['sent']:>9,}  to be sent for 12.5 GBP" in rapport("campaign", "estimate", 1).output
    assert rapport("campaign", "schedule", 1).output.startswith("Campaign 1, Spring, is scheduled for ")
    assert f"{forecast['sent']} accepted" in rapport("tick").stdout
    report = json.loads(rapport("campaign", "report", 1, "--json").stdout)
    assert (report["funnel"]["sent"], report["funnel"]["held"]) == (forecast["sent"], forecast["held"])
    assert rapport("campaign", "report", 1).output.startswith(report["verdict"]["sentence"])


def test_figures_for_programs_are_the_api_s(
    rapport: Rapport, api: HeaderClient, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes from one to the other changes no line of their program."""
    for module in ("web.api.campaigns", "web.cli.campaigns"):
        monkeypatch.setattr(f"{module}.utcnow", lambda: now)
    Path("spring.toml").write_text(TOML)
    rapport("campaign", "create", "--file", "spring.toml")
    estimate = api.get("/api/v1/campaigns/1/estimate").json
    told = json.loads(rapport("campaign", "estimate", 1, "--json").stdout)
    assert told.pop("as_of") >= estimate.pop("as_of")  # each has refreshed the warehouse
    assert told == estimate
    rapport("campaign", "schedule", 1)
    rapport("tick")
    report = json.loads(rapport("campaign", "report", 1, "--json").stdout)
    assert report == api.get("/api/v1/campaigns/1/report").json


def test_what_the_pages_can_do(rapport: Rapport, database: Database) -> None:
    """Costs, a late decision, sending again, a copy, away and back."""
    Path("spring.toml").write_text(TOML)
    rapport("campaign", "create", "--file", "spring.toml", "--holdout", "0")
    assert rapport("campaign", "schedule", 1).exit_code == 0
    assert rapport("campaign", "delete", 1).exit_code == 1
    with database.begin() as session:
        session.execute(update(Campaign).values(status="late"))
    assert rapport("campaign", "send-late", 1).output.startswith("Campaign 1, Spring, is scheduled for ")
    assert rapport("campaign", "skip-late", 1).exit_code == 1
    assert "20 accepted" in rapport("tick").stdout
    with database.begin() as session:
        session.execute(update(Send).values(state="unknown"))
    assert rapport("campaign", "send-again", 1).output == "Campaign 1, Spring, is sending.\n"
    assert "20 accepted" in rapport("tick").stdout
    costs = json.loads(rapport("campaign", "costs", 1, "--message-cost", "0.01", "--json").stdout)
    assert (costs["fixed_cost"], costs["message_cost"]) == ("12.5", "0.01")
    assert rapport("campaign", "costs", 1, "--fixed-cost", 1, "--version", 1).exit_code == 1
    assert rapport("campaign", "copy", 1).output == "Campaign 2, Copy of Spring, is draft.\n"
    assert rapport("campaign", "delete", 2).output.startswith("Campaign 2 is put away; `rapport campaign restore 2`")
    assert rapport("campaign", "show", 2).exit_code == 1
    assert rapport("campaign", "restore", 2).output == "Campaign 2, Copy of Spring, is draft.\n"


def test_from_options(rapport: Rapport) -> None:
    """Text for an e-mail becomes its block, for an SMS its text; an option goes before the file."""
    mail = ("--name", "Mail", "--list", 1, "--subject", "Hello", "--text", "Come and see.", "--message-cost", "0.004")
    made = json.loads(rapport("campaign", "create", *mail, "--json").stdout)
    assert made["blocks"] == [{"type": "text", "text": "Come and see."}]
    assert (made["text"], made["message_cost"], made["list_id"]) == ("", "0.004", 1)
    sms = json.loads(rapport("campaign", "create", "--channel", "sms", "--text", "Sale", "--json").stdout)
    assert (sms["channel"], sms["blocks"], sms["text"]) == ("sms", [], "Sale")
    given = rapport("campaign", "create", "--file", "-", "--name", "Summer", "--json", input=TOML)
    assert json.loads(given.stdout)["name"] == "Summer"


def test_a_draft_is_changed(rapport: Rapport) -> None:
    """What `show` prints can be changed and given back; a version somebody else has changed since is refused."""
    rapport("campaign", "create", "--name", "Mail", "--list", 1, "--subject", "Hello", "--text", "Come and see.")
    shown = rapport("campaign", "show", 1, "--json").stdout
    changed = shown.replace('"Mail"', '"Letter"')
    assert rapport("campaign", "edit", 1, "--file", "-", input=changed).output == "Campaign 1, Letter, is draft.\n"
    late = rapport("campaign", "edit", 1, "--file", "-", input=changed)
    assert (late.exit_code, "Somebody changed" in late.output) == (1, True)
    edited = json.loads(rapport("campaign", "edit", 1, "--text", "Stay away.", "--json").stdout)
    assert (edited["version"], edited["name"], edited["blocks"][0]["text"]) == (3, "Letter", "Stay away.")
    assert rapport("campaign", "schedule", 1, "--version", 2).exit_code == 1
    at = (utcnow() + timedelta(days=30)).strftime("%Y-%m-%dT09:00")
    said = f"Campaign 1, Letter, is scheduled for {at.replace('T', ' ')} Europe/London.\n"
    assert rapport("campaign", "schedule", 1, "--at", at).output == said
    assert rapport("campaign", "unschedule", 1).output == "Campaign 1, Letter, is draft.\n"


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("create", "--file", "-"), "{", "- is not valid JSON: "),
        (("create", "--file", "-"), "name = ", "- is not valid TOML: "),
        (("create", "--file", "-"), '{"a":' * 100_000, "- is not valid JSON: "),
        (("create", "--file", "-"), "# " + "x" * 2**20, "is longer than 1,048,576 characters."),
        (("create", "--file", "-"), 'nam = "x"', "A campaign has no 'nam'. Did you mean 'name'?"),
        (("create", "--file", "-"), "due_at = 2026-03-29T09:00:00", "with its offset from UTC"),
        (("create", "--list", "7"), "", "There is no list 7."),
        (("create", "--fixed-cost", "much"), "", "'much' is not an amount"),
        (("create", "--holdout", "nan"), "", "between 0 and 0.5"),
        (("show", "7"), "", "There is no campaign 7."),
        (("schedule", "7", "--at", "tomorrow"), "", "'tomorrow' is no time"),
    ],
)
def test_a_fault_is_a_sentence(rapport: Rapport, words: tuple[str, ...], given: str, said: str) -> None:
    """Status 1, what is wrong and where; no draft is left behind."""
    result = rapport("campaign", *words, input=given)
    assert result.exit_code == 1
    assert said in result.output
    assert json.loads(rapport("campaign", "list", "--json").stdout) == []


def test_a_file_that_is_not_there(rapport: Rapport) -> None:
    """Named, not a traceback."""
    assert "none.json: No such file or directory" in rapport("campaign", "create", "--file", "none.json").output


def test_lists_are_changed_and_put_away(rapport: Rapport, api: HeaderClient) -> None:
    """Renamed, given other criteria, put away and brought back; for programs as the API says it."""
    assert rapport("list", "edit", 1, "--name", "All").output == "List 1, All, is saved.\n"
    other = rapport("list", "edit", 1, "--criteria", "-", "--json", input=EVERYBODY.replace("true", "false"))
    assert json.loads(other.stdout)["criteria"]["value"] is False
    (there,) = api.get("/api/v1/lists").json["lists"]
    assert json.loads(rapport("list", "all", "--json").stdout) == [there]
    assert "somebody" in rapport("list", "edit", 1, "--name", "Mine", "--version", 1).output.lower()
    assert "is put away" in rapport("list", "delete", 1).output
    assert rapport("list", "all").output == ""
    assert rapport("list", "restore", 1).output == "List 1, All, is saved.\n"
    assert (
        "Did you mean 'age'"
        in rapport("list", "create", "x", "--criteria", "-", input=EVERYBODY.replace("email_consent", "agee")).output
    )


def test_recommend(rapport: Rapport, database: Database, api: HeaderClient, tmp_path: Path) -> None:
    """For an item, a cart, a contact and a stranger, with the reason; for programs as the API says it."""
    assert "There is nothing to offer." in rapport("recommend").stdout
    with database.begin() as session:
        things = add_items(session, 4, price=85_000)
        people = session.scalars(select(Contact).order_by(Contact.id)).all()
        for number, contact in enumerate(people):
            add_order(session, contact, things[number % 2 :: 2], utcnow() - timedelta(days=number + 1))
    assert "run `rapport train`" in rapport("recommend").stderr
    assert rapport("train").exit_code == 0
    words = rapport("recommend", "--item", "A0", "-n", 1).stdout
    assert words == "  1  A2                8.50 GBP  Item 2\n     rules: 10 of 10 buyers of Item 0 also bought it\n"
    for options, asked in (
        (("--item", "A0"), {"placement": "item", "context": {"items": ["A0"]}}),
        (("--cart", "A1"), {"placement": "cart", "context": {"cart": ["A1"]}}),
        (("--contact", "c1", "--exclude", "A3"), {"placement": "home", "contact": "c1", "exclude": {"items": ["A3"]}}),
        (("--placement", "email", "--contact", "nobody"), {"placement": "email", "contact": "nobody"}),
    ):
        shown = json.loads(rapport("recommend", *options, "--json").stdout)
        answer = api.post("/api/v1/recommendations", json=asked).json
        for found in (shown, answer):
            found.pop("recommendation_id")
        answer.pop("took_ms")
        assert shown == answer
    assert "Nobody knows nobody." in rapport("recommend", "--contact", "nobody").stderr
    wrong = rapport("recommend", "--placement", "hme")
    assert (wrong.exit_code, "hme" in wrong.output) == (1, True)
    assert rapport("list", "create", "All", "--criteria", "-", input=EVERYBODY).exit_code == 0
    rows = list(csv.DictReader(rapport("recommend-list", 1, "-", "-n", 2).stdout.removeprefix("\ufeff").splitlines()))
    assert {row["contact"] for row in rows} == {contact.key for contact in people}
    told = json.loads(rapport("recommend", "--placement", "email", "--contact", "c1", "-n", 2, "--json").stdout)
    for row, item in zip([row for row in rows if row["contact"] == "c1"], told["items"], strict=True):
        named = item["id"], item["title"], item["price"], item["source"], item["reason"]["text"]
        assert (row["item"], row["title"], row["price"], row["source"], row["reason"]) == named
    wrong = rapport("recommend-list", 1, tmp_path / "none.csv", "--placement", "hme")
    assert (wrong.exit_code, "hme" in wrong.output, (tmp_path / "none.csv").exists()) == (1, True, False)
