"""Pages of campaigns: written and saved as one types, sent, watched, reported on."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import event, select, update

from campaigns import planning, roi, scheduler
from campaigns.models import Campaign, Firing, OutboxMessage, Send, Variant
from engine import config as settings
from engine import consent
from engine.models import Contact, Order
from tests.campaigns import shop
from tests.campaigns.shop import DAY
from tests.web.pages.conftest import send_all
from web.pages.campaigns.run import pace
from web.services import EXTENSION, Services, utcnow

HTMX = {"HX-Request": "true"}


def form(services: Services, campaign_id: int, **typed: Any) -> dict[str, Any]:
    """The whole form as the page would post it."""
    with services.database.read() as session:
        campaign, variant = planning.get(session, campaign_id), planning.variant_of(session, campaign_id)
        said: dict[str, Any] = {
            "version": campaign.version,
            "name": campaign.name,
            "channel": campaign.channel,
            "list_id": campaign.list_id or "",
            "holdout": round(campaign.holdout * 100),
            "window_days": campaign.window_days,
            "fixed_cost": campaign.fixed_cost / 10_000,
            "message_cost": campaign.message_cost / 10_000,
            "when": "now",
            "subject": variant.subject,
            "preheader": variant.preheader,
            "block": [f"b{number}" for number in range(len(variant.blocks))],
        }
        for number, block in enumerate(variant.blocks):
            said |= {f"b{number}-{name}": value for name, value in block.items()}
    return said | typed


def save(client: FlaskClient, services: Services, campaign_id: int, **typed: Any) -> Any:
    """One autosave."""
    return client.post(f"/campaigns/{campaign_id}", data=form(services, campaign_id, **typed), headers=HTMX)


def kept(services: Services, campaign_id: int) -> tuple[Campaign, Variant]:
    """What is in the database."""
    with services.database.read() as session:
        return planning.get(session, campaign_id), planning.variant_of(session, campaign_id)


def told(answer: Any) -> str:
    """The toast that an answer leaves."""
    cookie = next(value for value in answer.headers.getlist("Set-Cookie") if value.startswith("toast="))
    return base64.urlsafe_b64decode(re.match(r'toast="?([\w=-]+)', cookie)[1] + "==").decode()  # type: ignore[index]


def test_first_campaign_is_taught(marketer: FlaskClient) -> None:
    """Without campaigns the page says what one is and leads to the first."""
    page = marketer.get("/campaigns").text
    assert "Your first campaign" in page
    assert 'href="/campaigns/new"' in page


def test_new_from_a_list(marketer: FlaskClient, services: Services, people: int) -> None:
    """The list of the address is chosen; sending the form makes the draft and opens it; looking makes nothing."""
    assert f'value="{people}" selected' in marketer.get(f"/campaigns/new?list={people}").text
    with services.database.read() as session:
        assert session.scalars(select(Campaign)).all() == []
    asked = {"name": "May", "channel": "email", "list_id": people, "start": "picks"}
    made = marketer.post("/campaigns", data=asked)
    assert made.status_code == 303
    campaign, variant = kept(services, int(made.location.rstrip("#goal").rpartition("/")[2]))
    assert (campaign.name, campaign.list_id, campaign.status) == ("May", people, "draft")
    assert [block["type"] for block in variant.blocks] == ["heading", "text", "products", "button"]


def test_saved_as_typed(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Every field is kept, the answer tells the next version; saying the same again changes nothing."""
    said = {"subject": "Hi", "holdout": 10, "fixed_cost": "12.50", "when": "at", "at": "2031-03-01T09:00"}
    answer = save(marketer, services, draft, **said)
    assert answer.status_code == 200
    assert 'name="version" value="2"' in answer.text
    campaign, variant = kept(services, draft)
    assert (variant.subject, campaign.holdout, campaign.fixed_cost, campaign.version) == ("Hi", 0.1, 125_000, 2)
    assert campaign.due_at is not None
    assert campaign.due_at.astimezone(services.config.locale.zone).isoformat().startswith("2031-03-01T09:00")
    save(marketer, services, draft, **said)
    assert kept(services, draft)[0].version == 2


def test_somebody_else_is_never_overwritten(marketer: FlaskClient, services: Services, draft: int) -> None:
    """A form of an old version is refused with a notice; the other's words stay. The same once it is scheduled."""
    with services.database.begin() as session:
        planning.edit(session, draft, {"subject": "Theirs"}, version=1, now=utcnow())
    answer = save(marketer, services, draft, subject="Mine", version=1)
    assert answer.status_code == 409
    assert "not written over theirs" in answer.text
    assert kept(services, draft)[1].subject == "Theirs"
    with services.database.begin() as session:
        shop.schedule(session, draft, utcnow(), services.config)
    assert save(marketer, services, draft, subject="Mine").status_code == 409


def test_what_cannot_be_kept_is_said_at_its_field(marketer: FlaskClient, services: Services, draft: int) -> None:
    """A cost that is none is refused where it stands; everything else is saved."""
    answer = save(marketer, services, draft, fixed_cost="a lot", subject="Kept", window_days="0", at="x", when="at")
    for field in ("fixed_cost", "window_days", "at"):
        assert re.search(rf'hx-target="#{field}-fault" hx-swap="innerHTML">[^<]+<', answer.text), field
    campaign, variant = kept(services, draft)
    assert (variant.subject, campaign.fixed_cost, campaign.window_days) == ("Kept", 0, 14)


@pytest.mark.parametrize(
    ("act", "types"),
    [
        ("add:button", ["heading", "text", "divider", "button"]),
        ("up:b2", ["heading", "divider", "text"]),
        ("down:b0", ["text", "heading", "divider"]),
        ("up:b0", ["heading", "text", "divider"]),
        ("copy:b0", ["heading", "heading", "text", "divider"]),
        ("remove:b1", ["heading", "divider"]),
        ("add:script", ["heading", "text", "divider"]),
        ("up:zzz", ["heading", "text", "divider"]),
    ],
)
def test_blocks(marketer: FlaskClient, services: Services, draft: int, act: str, types: list[str]) -> None:
    """Blocks are added, moved, doubled and removed; what makes no sense changes nothing."""
    blocks = [{"type": "heading", "text": "One"}, {"type": "text", "text": "Two"}, {"type": "divider"}]
    with services.database.begin() as session:
        planning.edit(session, draft, {"blocks": blocks}, version=1, now=utcnow())
    assert save(marketer, services, draft, act=act).status_code == 200
    assert [block["type"] for block in kept(services, draft)[1].blocks] == types


BLOCKS = [{"type": "heading", "text": "One"}, {"type": "text", "text": "Two\n\n“2”"}, {"type": "divider"}]


def hidden(text: str) -> dict[str, Any]:
    """The hidden fields of removed blocks, and the order of all blocks, as the page would post them."""
    fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text)
    order = [unescape(value) for name, value in fields if name == "block"]
    return {"block": order, **{name: unescape(value) for name, value in fields if name != "block" and name[0] == "b"}}


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_removed_block_comes_back(
    marketer: FlaskClient, services: Services, draft: int, headers: dict[str, str]
) -> None:
    """With all it said and where it stood, however the others were moved since, with and without script."""
    with services.database.begin() as session:
        planning.edit(session, draft, {"blocks": BLOCKS}, version=1, now=utcnow())
    address = f"/campaigns/{draft}"
    answer = marketer.post(address, data=form(services, draft, act="remove:b1"), headers=headers)
    assert answer.status_code == 200
    assert kept(services, draft)[1].blocks == [BLOCKS[0], BLOCKS[2]]
    said = form(services, draft, **hidden(answer.text))
    assert said["b2-type"] == "divider"
    answer = marketer.post(address, data={**said, "act": "up:b2"}, headers=headers)
    assert kept(services, draft)[1].blocks == [BLOCKS[2], BLOCKS[0]]  # past the removed one too
    said = form(services, draft, **hidden(answer.text)) | {"b0-text": "One"}
    marketer.post(address, data={**said, "act": "back:b1"}, headers=headers)
    assert kept(services, draft)[1].blocks == [BLOCKS[2], BLOCKS[1], BLOCKS[0]]


def test_bringing_back_writes_over_nobody(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Undo is an edit like any other: of an old version it is refused."""
    with services.database.begin() as session:
        planning.edit(session, draft, {"blocks": BLOCKS}, version=1, now=utcnow())
    answer = save(marketer, services, draft, act="remove:b1")
    said = form(services, draft, **hidden(answer.text), act="back:b1")
    with services.database.begin() as session:
        planning.edit(session, draft, {"subject": "Theirs"}, version=3, now=utcnow())
    assert marketer.post(f"/campaigns/{draft}", data=said, headers=HTMX).status_code == 409
    assert len(kept(services, draft)[1].blocks) == 2


def test_no_time_is_not_now(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Who chose a time and left it empty is told beside the field and cannot send, not after a recount either."""
    answer = save(marketer, services, draft, when="at", at="")
    assert "Choose the day and the time" in re.search(r'#at-fault" hx-swap="innerHTML">([^<]*)<', answer.text)[1]  # type: ignore[index]
    recount = marketer.get(f"/campaigns/{draft}/reach?when=at&at=", headers=HTMX)
    for text in (answer.text, recount.text):
        assert "thing has to be put right" in text
        assert "people now" not in text
    page = marketer.post(f"/campaigns/{draft}", data=form(services, draft, when="at", at=" "))  # without script
    assert page.status_code == 422
    assert 'value="at" checked' in page.text
    assert "Choose the day and the time" in page.text
    assert "people now" in marketer.get(f"/campaigns/{draft}/reach?when=now&at=", headers=HTMX).text


def test_what_nobody_could_get_cannot_be_sent(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Content that compiles and fails for everybody is a fault at its field; for one person only it is none."""
    answer = save(marketer, services, draft, **{"b0-text": "One\n{% break %}"})
    assert "Line 2: unexpected" in re.search(r'#b0-text-fault" hx-swap="innerHTML">([^<]*)<', answer.text)[1]  # type: ignore[index]
    assert "thing has to be put right" in answer.text
    refused = marketer.post(f"/campaigns/{draft}/schedule", data={"version": 2})
    assert refused.status_code == 422
    with services.database.begin() as session:
        session.get_one(Contact, 1).age = 0
        session.get_one(Contact, 2).age = 40
    answer = save(marketer, services, draft, contact=1, **{"b0-text": "{{ 80 | divided_by: contact.age }}"})
    assert "Not for this person" in answer.text
    assert "has to be put right" not in answer.text


@pytest.mark.parametrize(
    ("failed", "words"),
    [(0, "All of it is out."), (3, "7 of 10 messages went out."), (10, "none of the 10 messages left")],
)
def test_the_end_is_told_as_it_is(
    marketer: FlaskClient, services: Services, draft: int, failed: int, words: str
) -> None:
    """Nobody reads that all is out when some or all of it failed."""
    now = utcnow()
    with services.database.begin() as session:
        found = session.get_one(Campaign, draft)
        found.holdout = 0
        shop.accept(session, shop.fire(session, found, range(1, 11), now), now)
        for send in session.scalars(select(Send).limit(failed)):
            send.state, send.reason = "failed", "mailbox full"
        found.status = "finished"
    live = marketer.get(f"/campaigns/{draft}/progress", headers=HTMX).text
    assert words in live
    assert ("All of it is out" in live) == (not failed)


def test_order_of_the_page_is_kept(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Blocks that were dragged come in the order of their hidden fields."""
    blocks = [{"type": "heading", "text": "One"}, {"type": "text", "text": "Two"}]
    with services.database.begin() as session:
        planning.edit(session, draft, {"blocks": blocks}, version=1, now=utcnow())
    save(marketer, services, draft, block=["b1", "b0"])
    assert kept(services, draft)[1].blocks == blocks[::-1]


def test_fault_of_a_template_stands_at_its_block(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Liquid that does not compile names field and line; the draft keeps it, and the rest is still to be seen."""
    answer = save(marketer, services, draft, **{"b0-text": "Hello\n{{ contact.first_nam }}"})
    fault = re.search(r'hx-target="#b0-text-fault" hx-swap="innerHTML">([^<]*)<', answer.text)
    assert fault is not None
    assert fault[1].startswith("Line 2: contact has no &#39;first_nam&#39;.")
    assert "thing has to be put right" in answer.text
    assert "first_nam" in kept(services, draft)[1].blocks[0]["text"]


def test_waterfall(marketer: FlaskClient, draft: int) -> None:
    """Everybody on the list is accounted for, and the review names the number that would be sent."""
    text = re.sub(r"\s+", " ", marketer.get(f"/campaigns/{draft}/reach", headers=HTMX).text)
    counts = {words: int(count) for words, count in re.findall(r"<dt>([^<]+)</dt><dd>−?(\d+)</dd>", text)}
    assert counts["On the list"] == 60
    assert counts["No consent"] == 2
    assert counts["Will be sent"] == 60 - 2 - counts["Held out"]
    assert f"Send to {counts['Will be sent']} people now" in text


def test_preview_is_the_mail(marketer: FlaskClient, draft: int) -> None:
    """The frame gets the mail itself, for the person asked for, locked into a sandbox; one can go from person to
    person.
    """
    answer = marketer.get(f"/campaigns/{draft}/message?contact=7")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "https://shop.example/sale?a=1&amp;b=2" in answer.text
    assert "1/50" in marketer.get(f"/campaigns/{draft}/reader", headers=HTMX).text
    assert "50/50" in marketer.get(f"/campaigns/{draft}/reader?contact=1&step=-1", headers=HTMX).text


def test_text_message(marketer: FlaskClient, services: Services, people: int) -> None:
    """A text is shown as it arrives, with what it is billed as."""
    with services.database.begin() as session:
        number = shop.campaign(session, utcnow(), list_id=people, channel="sms", text="Sale – today").id
    page = marketer.get(f"/campaigns/{number}").text
    assert "UCS-2" in page
    assert "1 segment" in page
    assert "STOP" in page


def test_test_message(marketer: FlaskClient, services: Services, draft: int) -> None:
    """It goes to the address typed, marked, belongs to no send and can unsubscribe nobody; no address, no test."""
    assert marketer.post(f"/campaigns/{draft}/test", data={"to": "nobody"}, headers=HTMX).status_code == 422
    assert marketer.post(f"/campaigns/{draft}/test", data={"to": "me@shop.example", "contact": 3}).status_code == 200
    with services.database.begin() as session:
        message = session.scalars(select(OutboxMessage)).one()
        assert (message.recipient, message.subject) == ("me@shop.example", "[Test] Hello Ann")
        assert message.send_id is None
        assert "/u/" not in (message.html or "")
        assert "List-Unsubscribe" not in message.headers
        assert session.scalars(select(Send)).all() == []
        consent.suppress(session, "email", "me@shop.example", "complaint", utcnow())
    refused = marketer.post(f"/campaigns/{draft}/test", data={"to": "me@shop.example"}, headers=HTMX)
    assert refused.status_code == 422


def test_from_now_to_the_report(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Send now, watch it, read the report; the draft's page becomes each of them in turn."""
    assert marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1}).status_code == 303
    assert "Goes out now" in marketer.get(f"/campaigns/{draft}").text
    scheduler.tick(services.database, services.warehouse, services.config, now=utcnow())
    live = marketer.get(f"/campaigns/{draft}/progress", headers=HTMX).text
    assert "Pause" in live
    assert 'hx-trigger="every 1s"' in live
    send_all(services)
    done = marketer.get(f"/campaigns/{draft}/progress", headers=HTMX).text
    assert "hx-trigger" not in done
    assert "See the report" in done
    report = marketer.get(f"/campaigns/{draft}").text
    assert "Too few buyers to tell" in report
    assert "Spring &lt;sale&gt;" in report


def test_sending_now_can_be_taken_back(
    app: APIFlask, marketer: FlaskClient, services: Services, draft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For half a minute: a count-down, and a button back to the draft, which says "now" again. Then it goes out."""
    config = replace(services.config, sending=replace(services.config.sending, undo_seconds=30))
    app.extensions[EXTENSION] = replace(services, config=config)
    start, later = utcnow(), timedelta(seconds=12.5)
    for module in ("compose", "run"):
        monkeypatch.setattr(f"web.pages.campaigns.{module}.utcnow", lambda: start)
    page = marketer.get(f"/campaigns/{draft}/reach", headers=HTMX).text
    assert "in 30 seconds. Until then you can take it back" in page
    marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    assert kept(services, draft)[0].due_at == start + timedelta(seconds=30)
    assert scheduler.tick(services.database, services.warehouse, config, now=start).fired == []
    monkeypatch.setattr("web.pages.campaigns.run.utcnow", lambda: start + later)
    for path in (f"/campaigns/{draft}", f"/campaigns/{draft}/progress"):
        text = marketer.get(path, headers=HTMX).text
        assert "Goes out in 18 s" in text
        assert 'hx-trigger="every 1s"' in text
        assert re.search(rf'action="/campaigns/{draft}/unschedule">.*Undo</button>', text)
    marketer.post(f"/campaigns/{draft}/unschedule")
    campaign, _ = kept(services, draft)
    assert (campaign.status, campaign.due_at) == ("draft", None)
    marketer.post(f"/campaigns/{draft}/schedule", data={"version": campaign.version})
    monkeypatch.setattr("web.pages.campaigns.run.utcnow", lambda: start + timedelta(seconds=31))
    assert "Goes out now" in marketer.get(f"/campaigns/{draft}").text
    assert scheduler.tick(services.database, services.warehouse, config, now=start + later * 3).fired == [draft]
    assert "Pause" in marketer.get(f"/campaigns/{draft}/progress", headers=HTMX).text


def test_old_version_is_not_scheduled(marketer: FlaskClient, services: Services, draft: int) -> None:
    """What is sent is what was reviewed: an edit in between stops it, and leads to the draft as it is now."""
    save(marketer, services, draft, subject="Changed meanwhile")
    answer = marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    assert (answer.status_code, answer.location) == (303, f"/campaigns/{draft}#review")
    assert "Nothing was sent" in told(answer)
    assert kept(services, draft)[0].status == "draft"


def test_a_second_press_is_told_how_it_stands(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Nobody reads that nothing was sent when the first press sent it."""
    marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    answer = marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    assert (answer.status_code, answer.location) == (303, f"/campaigns/{draft}")
    assert "no draft any more" in told(answer)
    assert kept(services, draft)[0].status == "scheduled"


def test_an_edit_while_it_is_counted_stops_it(
    marketer: FlaskClient, services: Services, draft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting whom it reaches holds nobody up; an edit in that time is not sent unseen."""

    def slow(*_given: Any) -> None:
        with services.database.begin() as session:
            planning.edit(session, draft, {"subject": "Theirs"}, version=1, now=utcnow())

    monkeypatch.setattr("web.pages.campaigns.compose.reach", slow)
    assert "Nothing was sent" in told(marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1}))
    assert kept(services, draft)[0].status == "draft"


def test_large_audience_is_typed(
    marketer: FlaskClient, services: Services, draft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit the number itself must be typed."""
    monkeypatch.setattr("web.pages.campaigns.compose.TYPED", 5)
    page = marketer.get(f"/campaigns/{draft}/reach", headers=HTMX).text
    found = re.search(r"Type (\d+) to send", page)
    assert found is not None
    assert marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1}).status_code == 422
    assert marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1, "typed": found[1]}).status_code == 303


def test_steps_on_the_way(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Pause, resume, cancel; each only where it makes sense."""
    marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    assert marketer.post(f"/campaigns/{draft}/pause").status_code == 409
    scheduler.tick(services.database, services.warehouse, services.config, now=utcnow())
    for word, status in (("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")):
        assert marketer.post(f"/campaigns/{draft}/{word}").status_code == 303
        assert kept(services, draft)[0].status == status
    assert "campaign cancelled" in marketer.get(f"/campaigns/{draft}/sends.csv").text


def test_late_asks(marketer: FlaskClient, services: Services, draft: int) -> None:
    """A campaign that missed its time waits for a decision on its page."""
    now = utcnow()
    with services.database.begin() as session:
        shop.schedule(session, draft, now - 2 * DAY, services.config)
    scheduler.tick(services.database, services.warehouse, services.config, now=now)
    assert "Skip it" in marketer.get(f"/campaigns/{draft}").text
    marketer.post(f"/campaigns/{draft}/send_late")
    assert kept(services, draft)[0].status == "scheduled"


def test_silent_messages_are_repeated_on_demand(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Of whom nobody knows, the page offers to send again, and only then does it."""
    now = utcnow()
    with services.database.begin() as session:
        firing = shop.fire(session, session.get_one(Campaign, draft), range(1, 11), now)
        shop.accept(session, firing, now)
        for send in session.scalars(select(Send).where(Send.state == "accepted").limit(3)):
            send.state = "unknown"
    assert "Send again to these 3" in marketer.get(f"/campaigns/{draft}").text
    marketer.post(f"/campaigns/{draft}/again")
    with services.database.read() as session:
        assert planning.progress(session, draft)["queued"] == 3


def test_left_out_is_not_suppressed(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Who has no address or never agreed is left out; suppressed is an address to leave alone."""
    with services.database.begin() as session:
        shop.fire(session, session.get_one(Campaign, draft), range(1, 61), utcnow())
    page = marketer.get(f"/campaigns/{draft}").text
    assert "Left out" in page
    assert "No consent" in page
    assert "Suppressed" not in page


@pytest.mark.parametrize(
    ("buyers", "words"),
    [
        (0, "Nobody here bought anything"),
        (20, "The list is too small for that: judge this one by clicks."),
        (58, "are needed. The list is too small"),
        (400, "Hold out about 75 people, or judge this one by clicks."),
        (1000, "You will be able to see an effect of £"),
    ],
)
def test_the_holdout_promises_what_the_report_will_say(
    marketer: FlaskClient, services: Services, draft: int, buyers: int, words: str
) -> None:
    """Too few buyers for a verdict are told before, with what would be enough."""
    now = utcnow()
    with services.database.begin() as session:
        campaign = session.get_one(Campaign, draft)
        campaign.holdout, campaign.split_a, campaign.split_s = 0.05, 1, 0  # the same people every time
        shop.crowd(session, 942, now, first=61)
        for number in range(1, buyers + 1):
            contact = number if number < 59 else number + 2
            shop.order(session, f"B{number}", contact, now - DAY, 10 + number % 2)
    services.warehouse.refresh()
    page = marketer.get(f"/campaigns/{draft}/reach", headers=HTMX).text
    assert words in page
    assert ("You will be able to see" in page) is (buyers == 1000)


def test_pace() -> None:
    """Measured over the last 10 to 20 seconds from marks that the page carries; nonsense in them is nothing."""
    start = datetime.fromisoformat("2026-03-02T09:00:00+00:00")
    first = pace(0, 1000, "", start)
    assert first.per_second is None
    later = pace(50, 950, first.marks, start + timedelta(seconds=5))
    assert later.per_second == pytest.approx(10, rel=0.03)
    assert later.left is not None
    assert later.left.total_seconds() == pytest.approx(95, rel=0.03)
    assert later.marks == first.marks
    moved = pace(100, 900, later.marks, start + timedelta(seconds=10))
    assert moved.marks.endswith(":100")
    assert pace(5, 5, "x:y,1e9:-3", start).per_second is None


def test_report(marketer: FlaskClient, finished: int) -> None:
    """The verdict comes first; what was caused stands with its interval beside what is attributed."""
    page = marketer.get(f"/campaigns/{finished}").text
    assert page.index("It earned money") < page.index("Attributed revenue") < page.index("Caused revenue")
    for said in ("Between £", "Caused £", "https://shop.example/sale?a=1", "Held out", "No consent", "As of"):
        assert said in page, said
    assert 'class="plot-line"' in page


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"mail": {"transport": "smtp"}}, "only what the mail server refused at once"),
        ({"mail": {"transport": "sendgrid"}}, "Event Webhook is not set up"),
        ({"mail": {"transport": "sendgrid"}, "sendgrid": {"webhook_public_key": "AAAA"}}, ""),
        ({"sms": {"transport": "http"}}, ""),  # it went by e-mail
    ],
)
def test_report_says_what_the_transport_does_not_tell(
    marketer: FlaskClient,
    app: APIFlask,
    services: Services,
    finished: int,
    given: dict[str, Any],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No bounces is no good news where nobody would tell of them."""
    config = settings.build({"workspace": {"path": services.config.workspace.path}, **given})
    monkeypatch.setitem(app.extensions, EXTENSION, replace(services, config=config))
    page = marketer.get(f"/campaigns/{finished}").text
    assert words in unescape(page)
    assert ("are not known" in page) is bool(words)


def test_report_while_the_window_is_open(marketer: FlaskClient, services: Services, finished: int) -> None:
    """Neither headline nor colour says that it is over; the table of campaigns and the API say so far too."""
    with services.database.begin() as session:
        session.execute(update(Firing).values(fired_at=utcnow() - DAY))
        session.execute(update(Order).values(ordered_at=utcnow() - DAY / 2))
    page = marketer.get(f"/campaigns/{finished}").text
    for said in ("So far it has earned money", "So far the campaign has earned", "Interim", "Orders count until"):
        assert said in page, said
    for over in ("It earned money", "verdict-good", "kpi-value good"):
        assert over not in page, over
    cells = marketer.get(f"/campaigns/results?ids={finished}", headers=HTMX).text
    assert "so far" in cells
    assert 'class="good"' not in cells


def test_funnel_adds_up(marketer: FlaskClient, services: Services, finished: int) -> None:
    """From the list to those it went to nobody is lost on the way; of a text nobody asks whether it was opened."""

    def steps() -> dict[str, int]:
        page = marketer.get(f"/campaigns/{finished}").text
        found = re.findall(r'funnel-name">([^<]+)<.*?funnel-count">([\d,]+)<', page, re.DOTALL)
        return {words: int(count.replace(",", "")) for words, count in found}

    with services.database.begin() as session:
        for send, state in zip(
            session.scalars(select(Send).where(Send.state == "accepted").limit(3)),
            ("failed", "unknown", "cancelled"),
            strict=True,
        ):
            send.state = state
        of = roi.report(session, finished, now=utcnow())
    shown, f = steps(), of.funnel
    assert list(shown) == [
        "On the list", "Could be written to", "To get it", "Sent", "Opened", "Clicked", "Ordered",
    ]  # fmt: skip
    assert shown["On the list"] - sum(f.excluded.values()) == shown["Could be written to"]
    assert shown["Could be written to"] - f.held == shown["To get it"] == of.treated.revenue.n
    assert shown["To get it"] - 3 == shown["Sent"]
    assert shown["Ordered"] == of.attributed.buyers
    with services.database.begin() as session:
        session.get_one(Campaign, finished).channel = "sms"
    assert "Opened" not in steps()


def test_costs_come_later(marketer: FlaskClient, services: Services, finished: int) -> None:
    """A bill that comes after the sending changes the report; an amount that is none is refused at its field."""
    version = kept(services, finished)[0].version
    bad = marketer.post(f"/campaigns/{finished}/costs", data={"fixed_cost": "much", "version": version})
    assert bad.status_code == 422
    assert "is not an amount" in bad.text
    bill = {"fixed_cost": "50000", "message_cost": "0.01", "version": version}
    assert marketer.post(f"/campaigns/{finished}/costs", data=bill).status_code == 303
    assert "It lost money" in marketer.get(f"/campaigns/{finished}").text
    assert marketer.post(f"/campaigns/{finished}/costs", data=bill).status_code == 409


def test_file_of_the_sends(marketer: FlaskClient, services: Services, finished: int) -> None:
    """Everybody is in it, with the reason; no cell runs as a formula."""
    with services.database.begin() as session:
        send = session.scalars(select(Send).where(Send.state == "suppressed")).first()
        assert send is not None
        send.reason = "=cmd()"
    lines = marketer.get(f"/campaigns/{finished}/sends.csv").text.strip().splitlines()
    assert len(lines) == 1 + 1000
    assert lines[0].startswith("\ufeffkey,")
    assert any(",'=cmd()," in line for line in lines)
    assert marketer.get("/campaigns/999/sends.csv").status_code == 404


def test_results_fill_the_table(marketer: FlaskClient, finished: int) -> None:
    """The table is there at once; what a campaign caused comes after it, and is remembered for a while."""
    first = marketer.get("/campaigns").text
    assert f"ids={finished}" in first
    cells = marketer.get(f"/campaigns/results?ids={finished},x,999", headers=HTMX).text
    assert f'hx-target="#caused-{finished}"' in cells
    assert " to £" in cells
    again = marketer.get("/campaigns").text
    assert "/results" not in again
    assert " to £" in again


def test_chips_and_words(marketer: FlaskClient, draft: int, finished: int) -> None:
    """States and words narrow the table."""
    assert "Spring &lt;sale&gt;" in marketer.get("/campaigns?state=draft").text
    assert "Spring &lt;sale&gt;" not in marketer.get("/campaigns?state=finished").text
    assert "None of these" in marketer.get("/campaigns?q=winter").text


def test_sent_is_what_was_accepted(marketer: FlaskClient, services: Services, draft: int) -> None:
    """Those held out, left out, failed or still waiting were not sent to; on its way or ended, the table says the same
    as the report.
    """
    now = utcnow()
    with services.database.begin() as session:
        campaign = session.get_one(Campaign, draft)
        campaign.holdout = 0.2
        firing = shop.fire(session, campaign, range(1, 61), now)
        shop.accept(session, firing, now)
        states = [send.state for send in session.scalars(select(Send))]
        accepted = session.scalars(select(Send).where(Send.state == "accepted").order_by(Send.id).limit(4)).all()
        for send, state in zip(accepted, ("queued", "failed", "unknown", "cancelled"), strict=True):
            send.state = state
        number = roi.report(session, draft, now=now).funnel.sent
    assert number == states.count("accepted") - 4
    assert {"held", "suppressed"} <= set(states)
    assert f'<td class="num">{number} / 60</td>' in marketer.get("/campaigns").text
    with services.database.begin() as session:
        session.get_one(Campaign, draft).status = "finished"
    assert f">{number} / 60<" in marketer.get(f"/campaigns/results?ids={draft}", headers=HTMX).text


def test_delete_and_back(marketer: FlaskClient, services: Services, draft: int) -> None:
    """A draft is deleted with a way back; one that waits is not."""
    assert marketer.post(f"/campaigns/{draft}/delete").status_code == 303
    assert marketer.get(f"/campaigns/{draft}").status_code == 404
    assert marketer.post(f"/campaigns/{draft}/restore").status_code == 204
    marketer.post(f"/campaigns/{draft}/schedule", data={"version": 1})
    assert marketer.post(f"/campaigns/{draft}/delete").status_code == 409


def test_copy(marketer: FlaskClient, services: Services, finished: int) -> None:
    """The same content, list and costs as a new draft, with a draw of its own."""
    made = marketer.post(f"/campaigns/{finished}/copy")
    copy, variant = kept(services, int(made.location.rpartition("/")[2]))
    source, content = kept(services, finished)
    assert (copy.name, copy.status, copy.due_at) == ("Copy of Spring", "draft", None)
    assert (variant.blocks, copy.message_cost, copy.holdout) == (content.blocks, 100, 0.5)
    assert copy.split_a != source.split_a


@pytest.fixture
def statements(services: Services) -> Iterator[list[str]]:
    """Every statement that reaches the database."""
    seen: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", count)
    yield seen
    event.remove(services.database.engine, "before_cursor_execute", count)


def test_statements_do_not_grow(
    marketer: FlaskClient, services: Services, finished: int, statements: list[str]
) -> None:
    """Fifty campaigns cost the table as many statements as five; a hundred sends the live page as many as ten."""
    counts = []
    now = utcnow()
    for number in (5, 45):
        with services.database.begin() as session:
            for turn in range(number):
                shop.campaign(session, now, status=("draft", "sending", "finished")[turn % 3])
        statements.clear()
        marketer.get("/campaigns")
        counts.append(len(statements))
    assert counts[0] == counts[1]
    statements.clear()
    marketer.get(f"/campaigns/{finished}/progress", headers=HTMX)
    assert len(statements) < 12
