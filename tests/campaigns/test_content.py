"""Content: bounded Liquid, blocks to clean HTML, tracked links, text messages as the network counts them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from campaigns import content, offered, tokens
from campaigns.channels.base import Exclusion, Message
from campaigns.content import blocks, email, markup, messages, sms, templating
from campaigns.models import Link, Send
from engine.config import Config, Tracking
from engine.database import Database
from engine.errors import Invalid, NotFound
from engine.models import OrderLine
from recommender import serving as recommender_serving
from tests.campaigns import shop

ATTACKS = [
    "{% assign s='aaaaaaaaaaaaaaaa' %}{% for i in (1..25) %}{% assign s = s | append: s %}{% endfor %}{{ s | size }}",
    "{% for a in (1..99999) %}{% for b in (1..99999) %}{% endfor %}{% endfor %}",
    "{% for a in (1..1000000000000) %}{% endfor %}",
    "{{ 'a' " + "| replace: 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' " * 12 + "}}",
    "{% assign n = 99999999 %}{% for i in (1..60) %}{% assign n = n | times: n %}{% endfor %}{{ n }}",
    "{% for i in (1..999) %}{{ '"
    + "x" * 9_000
    + "' | split: '' | join: '-' | split: '-' | sort | join: ',' }}{% endfor %}",
    "{{ 1 | divided_by: 0 }}",
]


@dataclass
class Offered:
    """An item as the recommender answers with it."""

    item_id: int
    key: str
    title: str
    price: int
    currency: str
    url: str | None
    image_url: str | None
    reason: Any
    source: str = "for-you"


@dataclass
class Reason:
    text: str


@dataclass
class Answer:
    recommendation_id: str
    items: list[Offered]


class Recommender:
    """Offers items 1..n to everybody but contact 3; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int], int]] = []

    def recommend_many(
        self, session: Session, placement: str, contact_ids: Sequence[int], n: int, *, now: datetime, shown: Any = None
    ) -> dict[int, Answer]:
        assert shown == offered.last
        self.calls.append((placement, list(contact_ids), n))
        return {
            contact_id: Answer(f"r{contact_id}", [] if contact_id == 3 else [self.item(i) for i in range(1, n + 1)])
            for contact_id in contact_ids
        }

    def item(self, i: int) -> Offered:
        url = f"https://shop.example/items/{i}"
        return Offered(i, f"i{i}", f"Item <{i}>", i * 15_000, "GBP", url, f"{url}.png", Reason(f"{i} of 9 bought it"))


def text(source: str, **data: Any) -> str:
    """A template filled in."""
    return templating.render(templating.parse(source, field="text"), data)


@pytest.mark.parametrize("source", ATTACKS)
def test_a_template_cannot_hold_the_house_up(source: str) -> None:
    """Every attempt to burn time or memory ends within half a second of computing, with a sentence."""
    start = time.thread_time()
    with pytest.raises(Invalid):
        text(source)
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize("source", ["{{ a | split: '' | join: b }}", "{{ a | replace: 'x', b }}"])
def test_a_long_text_is_refused_before_it_is_made(source: str) -> None:
    """Two texts that variables may hold would make one of 1 MB here, and of 200 MB at their longest."""
    with pytest.raises(Invalid, match="makes too long a text"):
        text(source, a="x" * 1_000, b="y" * 1_000)
    assert text(source, a="x" * 10, b="y" * 1_000)


HOSTILE: dict[str, Callable[[int], str]] = {  # each took the square or cube of its length: minutes for 20,000
    "{{ unclosed": lambda n: "{{" * n,
    "{% unclosed": lambda n: "{%" * n,
    "{{ within a comment": lambda n: "{% comment %}" + "{{" * n,
    "blanks unclosed": lambda n: "{{" + " " * n,
    "blanks": lambda n: "{{ 1" + " " * n + "}}",
    "blanks of a tag": lambda n: "{% if" + " " * n + "%}",
    "raw": lambda n: "{% raw %}" * n,
    "doc": lambda n: "{% doc %}" * n,
    "no name": lambda n: "{% comment %}" + "{%={{ %}" * n,
    "brackets": lambda n: "{{ contact" + "[contact" * n + "]" * n + "}}",
    "quotes": lambda n: "{{" * n + "'" + "<" * n,
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_text_is_refused_before_it_is_parsed(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parser takes the square of its length for never gets there; neither does what is too long."""
    monkeypatch.setattr(templating.TEXT, "from_string", lambda *_given: pytest.fail("parsed"))
    for size, field in ((1_500, "text"), (100_000, "blocks[0].text")):
        with pytest.raises(Invalid) as caught:
            templating.check(HOSTILE[shape](size), field=field)
        assert caught.value.field == field
        with pytest.raises(Invalid):
            templating.parse(HOSTILE[shape](size), field=field)


@pytest.mark.parametrize("opening", ["{{", "{%", "{{ '"])
def test_looking_for_liquid_is_linear(opening: str) -> None:
    """Ten times the text takes about ten times the steps, not a hundred; no clock is asked."""

    def steps(source: str) -> int:
        count = 0

        class Counted(str):
            def find(self, *given: Any) -> int:
                nonlocal count
                count += len(self) - given[1]
                return super().find(*given)

        assert all(end < 0 for _, end in templating.pieces(Counted(source)))
        return count

    assert 0 < steps(opening * 10_000) <= 10 * steps(opening * 1_000) + 100


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([{"type": "heading", "text": "x" * 20_001}], "blocks[0].text"),
        ([{"type": "text", "text": "x" * 20_000}] * 11, "blocks"),
    ],
)
def test_blocks_are_bounded(given: list[dict[str, Any]], field: str) -> None:
    """What could never be sent is not even kept."""
    with pytest.raises(Invalid, match="characters") as caught:
        blocks.validate(given)
    assert caught.value.field == field


def test_pieces_of_liquid_are_found_as_they_stand() -> None:
    """What is closed is set aside whole, what is not stays text."""
    source = "a {{ b }} {% if c %} {{{ d }} {{ e %} f"
    found = [source[start:end] if end > 0 else "" for start, end in templating.pieces(source)]
    assert found == ["{{ b }}", "{% if c %}", "{{{ d }}", ""]
    marks = markup.Marks()
    assert marks.restore(marks.protect(source)) == source
    assert marks.pieces == found[:3]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("one\n{{ contact.city", "Line 2: '{{' is never closed."),
        ('{{ "it\'s <b>" }}', "cannot hold < or >"),
        ("{% include 'x' %}", "Line 1"),
        ("a\n\n{{ contact.first_name | safe }}", "Line 3"),
        ("{{ ''.__class__.__mro__ }}", "Line 1"),
        ("one\n{% if contact.city %}two", "Line 2"),
        ("one\n{{ contact.frist_name }}", "Line 2: contact has no 'frist_name'. Did you mean 'first_name'?"),
        ("{{ costumer.name }}", "nothing is called 'costumer'. Known: campaign, contact, shop."),
        ("x" * 20_001, "at most 20,000"),
        ("bell\x07", "control character"),
    ],
)
def test_a_template_is_refused_with_its_line(source: str, message: str) -> None:
    """Faults are found when the campaign is planned, not while it is sent."""
    with pytest.raises(Invalid, match=re.escape(message)) as caught:
        templating.check(source, field="blocks[0].text")
    assert caught.value.field == "blocks[0].text"


def test_what_a_template_may_use() -> None:
    """Own fields, variables of its own, conditions and loops pass the check."""
    templating.check(
        "{% assign n = contact.first_name | default: 'you' %}{% for t in contact.attributes.tags %}{{ t }}{{ n }}"
        "{% endfor %}{% if contact.age > 18 %}{{ shop.name }}{% endif %}{{ campaign.name }}",
        field="text",
    )


def html_of(*given: dict[str, Any], **data: Any) -> str:
    """The e-mail's HTML for one contact."""
    compiled = email.compile_email("S", "", blocks.validate(list(given)), language="en", pixel=False)
    links = {f"link_{i}": f"https://t.example/{i}" for i in range(len(compiled.urls))}
    return templating.render(compiled.html, links | data)


def test_a_contact_cannot_write_html() -> None:
    """Facts are escaped in text and in attributes."""
    attack = "\"><script>alert(1)</script><img src=x onerror='a'>"
    html = html_of(
        {"type": "heading", "text": "Hi {{ contact.first_name }}"},
        {"type": "image", "src": "https://shop.example/a.png", "alt": "For {{ contact.first_name }}"},
        contact={"first_name": attack},
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 2
    assert "onerror='" not in html


def test_what_a_marketer_types_is_text() -> None:
    """Tags in a text block are shown, not obeyed; bold, links, paragraphs and line breaks work."""
    html = html_of({"type": "text", "text": "**Big** <b>sale</b>\nnow\n\n[Go & see](https://shop.example/?a=1&b=2)!"})
    assert "<p><strong>Big</strong> &lt;b&gt;sale&lt;/b&gt;<br />now</p>" in html.replace("<br>", "<br />")
    assert '<p><a href="https://t.example/0">Go &amp; see</a>!</p>' in html


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//shop.example/x",
        "https://",
        "https://shop.example/{{ contact.key }}",
        "https://shop.example/?id={{contact.key}}",
        "data:text/html,x",
        "ftp://shop.example/",
        "https://[broken",
        "https://shop.example@evil.example/",
        "https://shop.example:443@evil.example",
        "https://shop.example\\@evil.example",
        "https://@evil.example",
        "https://shop.example/" + "x" * 2_000,
    ],
)
def test_only_fixed_web_addresses_are_links(url: str) -> None:
    """A destination is a whole http(s) address without Liquid; anything else is refused with the block's path."""
    block = {"type": "button", "label": "Go", "url": url}
    with pytest.raises(Invalid) as caught:
        email.compile_email("S", "", blocks.validate([block]), language="en", pixel=False)
    assert caught.value.field == "blocks[0].url"


def test_a_link_leads_to_what_it_begins_with() -> None:
    """What stands before an @ looks like the shop and is a user name; told so, in texts too. Later an @ is fine."""
    for text in ("[Go](https://shop.example@evil.example/)", "https://shop.example@evil.example/"):
        with pytest.raises(Invalid, match=r"leads to evil\.example: what stands before an @"):
            sms.compile_sms(text, language="en") if text[0] == "h" else html_of({"type": "text", "text": text})
    assert "https://t.example/0" in html_of({"type": "text", "text": "[Go](https://shop.example/@mei?to=a@b.example)"})


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "blink"}, "blocks[0].type"),
        ({"type": "text", "txt": "x"}, "blocks[0].txt"),
        ({"type": "products", "n": 13}, "blocks[0].n"),
        ({"type": "text", "text": 5}, "blocks[0].text"),
        ("text", "blocks[0]"),
    ],
)
def test_a_wrong_block_is_refused_with_its_path(given: Any, field: str) -> None:
    """Unknown kinds, unknown fields and wrong values say where they are."""
    with pytest.raises(Invalid) as caught:
        blocks.validate([given])
    assert caught.value.field == field


@given(st.text(max_size=200))
def test_any_text_compiles_or_is_refused(source: str) -> None:
    """Whatever is typed into a text block becomes an e-mail or a sentence, never a traceback; no tag slips in."""
    try:
        templating.check(source, field="text")
        html = html_of({"type": "text", "text": source}, contact={}, shop={}, campaign={})
    except Invalid:
        return
    assert "<script" not in html.lower()


def test_marks_in_a_text_are_harmless() -> None:
    """A text that looks like our own marks stays what it is or vanishes; nothing recurses."""
    html = html_of({"type": "text", "text": "x7q0q7x {{ 'x7q0q7x' }} x7q999q7x"})
    assert "x7q999q7x" not in html


@pytest.mark.parametrize(
    ("message", "encoding", "units", "count", "left"),
    [
        ("", "GSM-7", 0, 0, 160),
        ("a" * 160, "GSM-7", 160, 1, 0),
        ("a" * 161, "GSM-7", 161, 2, 145),
        ("a" * 306, "GSM-7", 306, 2, 0),
        ("a" * 307, "GSM-7", 307, 3, 152),
        ("€" * 80, "GSM-7", 160, 1, 0),
        ("a" * 152 + "€" + "a" * 7, "GSM-7", 161, 2, 144),  # the euro sign does not fit into 153
        ("a" * 69 + "ç", "UCS-2", 70, 1, 0),
        ("中" * 71, "UCS-2", 71, 2, 63),
        ("😀" * 35, "UCS-2", 70, 1, 0),
        ("😀" * 36, "UCS-2", 72, 2, 61),  # 33 pairs fill 66 of 67
    ],
)
def test_segments(message: str, encoding: str, units: int, count: int, left: int) -> None:
    """3GPP TS 23.038: 160 / 153 septets, 70 / 67 UTF-16 units, escapes and pairs kept whole."""
    assert sms.segments(message) == sms.Segments(encoding, units, count, left)


@pytest.mark.parametrize(
    ("source", "language", "end"),
    [
        ("Sale today", "en", "Sale today Reply STOP to opt out"),
        ("Sale. Text STOP to 123 to end", "en", "Text STOP to 123 to end"),
        ("Don't STOP me now", "en", "Don't STOP me now Reply STOP to opt out"),
        ("{% comment %}Reply STOP{% endcomment %}Sale", "en", "Sale Reply STOP to opt out"),
        ("Sale{% if shop.x %} Reply STOP{% endif %}", "en", "Sale Reply STOP to opt out"),
        ("Non-stop sale", "en", "Non-stop sale Reply STOP to opt out"),
        ("大促", "zh_Hans_CN", "大促 回复STOP退订"),
        ("大促 退订回T", "zh_Hans_CN", "大促 退订回T"),
    ],
)
def test_a_text_message_says_how_to_stop(source: str, language: str, end: str) -> None:
    """The way out is appended unless the text has one."""
    assert templating.render(sms.compile_sms(source, language=language).text, {}).endswith(end)


def test_bare_addresses_in_a_text_message_are_tracked() -> None:
    """The full stop after an address is not part of it; the same address is one link."""
    compiled = sms.compile_sms("See https://s.example/a. Or https://s.example/a, {{ 'https://no' }}", language="en")
    assert compiled.urls == ("https://s.example/a",)
    assert templating.render(compiled.text, {"link_0": "L"}) == "See L. Or L, https://no Reply STOP to opt out"


def send_of(database: Database, contact_id: int) -> int:
    """The number of a contact's send."""
    with database.read() as session:
        return session.scalars(select(Send.id).where(Send.contact_id == contact_id)).one()


def planned(database: Database, config: Config, now: datetime, people: int = 3, **given: Any) -> list[int]:
    """A campaign fired for some people, its links registered; the numbers of its sends."""
    with database.begin() as session:
        ids = shop.crowd(session, people, now)
        found = shop.campaign(session, now, **given)
        variant = session.scalars(select(messages.Variant)).one()
        variant.blocks = blocks.validate(variant.blocks)
        content.register_links(session, found.id, content.check(found, variant, config))
        shop.fire(session, found, ids, now)
        return list(session.scalars(select(Send.id).order_by(Send.contact_id)))


def rendered(database: Database, config: Config, send_ids: list[int], now: datetime, recommender: Any = None) -> Any:
    """The messages of these sends."""
    with database.read() as session:
        return content.render(session, send_ids, now=now, config=config, recommender=recommender)


def test_an_email_has_its_way_out_and_its_tracked_links(database: Database, config: Config, now: datetime) -> None:
    """RFC 8058 headers, the postal address, unsubscribe, view and pixel; every link leads through us, each token
    reads back to this send only.
    """
    sends = planned(database, config, now)
    message = rendered(database, config, sends, now)[sends[0]]
    assert isinstance(message, Message)
    assert (message.to, message.subject) == ("c1@x.example", "Hello Ann")
    assert message.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    (https,) = re.findall(r"<([^>]+)>", message.headers["List-Unsubscribe"])  # a mailto would want a reader
    base = config.server.public_url
    signer = tokens.signer(config)
    assert https == f"{base}/u/{signer.sign('unsubscribe', sends[0])}"
    for part in (message.html or "", message.text):
        assert "1 High Street, London" in part
        assert https in part
        assert "shop.example/sale" not in part
    hrefs = re.findall(r'(?:href|src)="([^"]+)"', message.html or "")
    kinds = {url.removeprefix(base)[1] for url in hrefs}
    assert kinds == {"c", "u", "v", "o"}
    click = next(url for url in hrefs if url.startswith(f"{base}/c/"))
    send_id, link_id = signer.read("click", click.rpartition("/")[2])
    with database.read() as session:
        link = session.get_one(Link, int(link_id))
    assert (int(send_id), link.url) == (sends[0], "https://shop.example/sale?a=1&b=2")


@pytest.mark.parametrize(
    ("transport", "base", "told"),
    [
        ("http", "https://shop.example/mail/", True),
        ("http", "http://127.0.0.1:8000", False),  # the carrier would refuse the text: it cannot call there
        ("outbox", "https://shop.example", False),
    ],
)
def test_a_text_message_says_where_its_fate_is_to_be_told(
    database: Database, config: Config, now: datetime, transport: Any, base: str, told: bool
) -> None:
    """At an address of this send, which nobody else can write."""
    ours = replace(config, sms=replace(config.sms, transport=transport), server=replace(config.server, public_url=base))
    (send_id,) = planned(database, config, now, people=1, channel="sms")
    message = rendered(database, ours, [send_id], now)[send_id]
    token = tokens.signer(config).sign("message", send_id)
    address = f"https://shop.example/mail/hooks/sms/{token}"
    assert message.headers == ({"StatusCallback": address} if told else {})
    assert message.message_id == f"<{token}@shop.example>"  # what SendGrid gives back of an e-mail


def test_the_message_id_never_changes(database: Database, config: Config, now: datetime) -> None:
    """Rendered again, a send keeps its Message-ID; another send has another."""
    sends = planned(database, config, now)
    first, again = (rendered(database, config, sends, now) for _ in range(2))
    assert {i: m.message_id for i, m in first.items()} == {i: m.message_id for i, m in again.items()}
    assert len({m.message_id for m in first.values()}) == 3
    assert first[sends[0]].message_id.startswith(f"<{sends[0]}.")
    assert first[sends[0]].message_id.endswith("@shop.example>")


def test_without_the_setting_no_pixel(database: Database, config: Config, now: datetime) -> None:
    """tracking.opens = false leaves the picture out."""
    sends = planned(database, config, now)
    quiet = replace(config, tracking=Tracking(opens=False))
    html = rendered(database, quiet, sends, now)[sends[0]].html
    assert "/o/" not in html
    assert "/o/" in rendered(database, config, sends, now)[sends[0]].html


def test_subjects_stay_on_one_line(database: Database, config: Config, now: datetime) -> None:
    """Nobody's name can add a header."""
    with database.begin() as session:
        shop.contact(session, 9, now, first_name="A\r\nBcc: all@x.example")
        found = shop.campaign(session, now)
        content.register_links(session, found.id, ["https://shop.example/sale?a=1&b=2"])
        shop.fire(session, found, [9], now)
    message = next(iter(rendered(database, config, [send_of(database, 9)], now).values()))
    assert message.subject == "Hello A Bcc: all@x.example"


def test_who_cannot_be_filled_in_is_excluded_alone(database: Database, config: Config, now: datetime) -> None:
    """A filter that fails on one contact's facts fails that send, with the reason; the others go out."""
    sends = planned(database, config, now, subject="{{ 12 | divided_by: contact.attributes.children }}")
    with database.begin() as session:
        for number, child in enumerate((2, 0, 3), 1):
            session.get_one(messages.Contact, number).attributes = {"children": child}
    result = rendered(database, config, sends, now)
    assert [type(result[i]) for i in sends] == [Message, Exclusion, Message]
    assert result[sends[0]].subject == "6"
    assert result[sends[1]].state == "failed"


PRODUCTS = [
    {"type": "products", "title": "For you", "n": 2},
    {"type": "text", "text": "and"},
    {"type": "products", "title": "Also", "n": 1},
]


def test_product_blocks_ask_once_and_repeat_nothing(database: Database, config: Config, now: datetime) -> None:
    """One question for the whole batch; the blocks share the items; titles are escaped; clicks name item and
    recommendation; nothing to offer leaves the blocks out.
    """
    sends = planned(database, config, now, blocks=PRODUCTS)
    recommender = Recommender()
    result = rendered(database, config, sends, now, recommender)
    assert recommender.calls == [("email", [1, 2, 3], 3)]
    html = result[sends[0]].html
    assert [html.count(f"Item &lt;{i}&gt;") for i in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert html.index("For you") < html.index("Item &lt;2&gt;") < html.index("Also") < html.index("Item &lt;3&gt;")
    assert "2 of 9 bought it" in html
    assert "£1.50" in html
    assert "Item <1>, £1.50: " in result[sends[0]].text
    token = re.search(r"/c/([^\"]+)\" style", html)
    assert token
    assert tokens.signer(config).read("click", token.group(1)) == [str(sends[0]), "1", "r1", "for-you"]
    pixel = re.search(r"/o/([^\"]+)\.gif", html)
    assert pixel
    assert tokens.signer(config).read("open", pixel.group(1)) == [str(sends[0]), "r1"]
    assert [list(result[number].items) for number in sends] == [[1, 2, 3], [1, 2, 3], []]
    assert "For you" not in result[sends[2]].html
    assert "For you" not in result[sends[2]].text
    assert "For you" not in rendered(database, config, sends, now)[sends[0]].html  # nothing trained yet


def test_the_real_recommender_fills_a_block(database: Database, config: Config, now: datetime) -> None:
    """Without any training best-sellers stand in the mail, with their reason and tracked links."""
    sends = planned(database, config, now, blocks=PRODUCTS)
    with database.begin() as session:
        for number in (1, 2, 3, 4):
            shop.item(session, number, now - shop.DAY)
        for number in range(3):
            bought = shop.order(session, f"o{number}", number + 1, now - shop.DAY, 2)
            session.add(OrderLine(order_id=bought.id, item_id=2, quantity=1, unit_price=20_000))
    recommender = recommender_serving.Recommender(database, config.folder / "trainings", config)
    message = rendered(database, config, sends, now, recommender)[sends[0]]
    assert isinstance(message, Message)
    assert message.html is not None
    assert message.html.count("/c/") >= 3
    assert "For you" in message.html


def test_a_preview_tracks_nothing(database: Database, config: Config, now: datetime) -> None:
    """The preview shows plain links and no pixel, and says how large the mail is."""
    planned(database, config, now, blocks=[{"type": "button", "label": "Go", "url": "https://shop.example/go"}])
    with database.read() as session:
        shown = content.preview(session, 1, 2, now=now, config=config, recommender=None)
        assert shown.subject == "Hello Ann"
        assert shown.html is not None
        assert 'href="https://shop.example/go"' in shown.html
        assert config.server.public_url not in shown.html
        assert shown.size == len(shown.html.encode()) < email.CLIPPED
        with pytest.raises(NotFound):
            content.preview(session, 99, now=now, config=config, recommender=None)


def test_a_text_message_preview_counts_segments(database: Database, config: Config, now: datetime) -> None:
    """The segments of the text as this contact gets it."""
    planned(database, config, now, channel="sms", text="Hi {{ contact.first_name }}")
    with database.read() as session:
        shown = content.preview(session, 1, 1, now=now, config=config, recommender=None)
    assert shown.text == "Hi Ann Reply STOP to opt out"
    assert shown.segments == sms.Segments("GSM-7", 28, 1, 132)


def test_a_batch_costs_a_fixed_number_of_statements(database: Database, config: Config, now: datetime) -> None:
    """No statement per recipient."""
    sends = planned(database, config, now, people=50)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert len(rendered(database, config, sends, now)) == 50
    assert len(statements) <= 3


def test_rendering_is_fast_enough(database: Database, config: Config, now: datetime) -> None:
    """At least 500 mails a second on a busy machine (2,000 to 4,000 on a free core)."""
    sends = planned(database, config, now, people=500)
    start = time.process_time()
    rendered(database, config, sends, now)
    assert 500 / (time.process_time() - start) > 500


def test_links_are_tracked_in_both_parts_alike() -> None:
    """HTML and plain text name the same destinations in the same order."""
    given = [
        {"type": "text", "text": "[a](https://a.example/) and [b](mailto:b@x.example)"},
        {"type": "button", "label": "c", "url": "https://c.example/"},
    ]
    compiled = email.compile_email("S", "", blocks.validate(given), language="en", pixel=False)
    assert compiled.urls == ("https://a.example/", "https://c.example/")
    assert markup.to_text("[a](https://a.example/)", markup.Links(), field="x") == "a ({{ link_0 }})"
    assert json.dumps(blocks.validate(given))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% assign unsubscribe_url = '#' %}", "a name of ours"),
        ("{% capture link_0 %}x{% endcapture %}", "a name of ours"),
        ("{{ '<!--' }}", "cannot hold < or >"),
        ('{% assign a = "-->" %}{{ a }}', "cannot hold < or >"),
    ],
)
def test_nothing_can_take_the_way_out_away(source: str, words: str) -> None:
    """Names that the footer and the links live by, and markup past the cleaner, are refused when written."""
    with pytest.raises(Invalid, match=words):
        templating.check(source, field="text")
    templating.check("{% assign greeting = 'Dear' %}{{ greeting }} {% if contact.age > 30 %}x{% endif %}", field="text")


@pytest.mark.parametrize(
    "source", ["{{ (1..999999999) | join: '' }}", "{{ 'a' | default: (1..99999999) | join: '' }}{{ (1..2000) | size }}"]
)
def test_a_long_range_is_refused_before_it_is_walked(source: str) -> None:
    """A filter never sees it: walking it took a minute and all memory."""
    with pytest.raises(Invalid, match="range of more than 1,000 steps"):
        templating.render(templating.parse(source, field="text"), {})


def test_a_filter_that_cannot_look_up_is_a_sentence() -> None:
    """What a filter raises is about the template."""
    with pytest.raises(Invalid, match="cannot be filled in"):
        templating.render(templating.parse("{{ 'ab' | split: '' | compact: 9 }}", field="text"), {})
