"""From a send to a message: the campaign's compiled content, one contact's facts, signed links."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from liquid import BoundTemplate
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import tokens
from campaigns.channels.base import Exclusion, Message
from campaigns.content import blocks, email, facts, products, sms, templating
from campaigns.content.products import Recommends
from campaigns.models import Campaign, Link, Send, Variant
from engine.config import Config
from engine.database import insert_new
from engine.errors import Invalid, NotFound
from engine.models import Contact

SAMPLE: Final = 5  # people for whom content is tried before it is scheduled
LARGE: Final = 9_999_999  # a number of a send or link, for the length of an address with it


@dataclass(frozen=True)
class Preview:
    """A message as one contact would get it, nothing tracked. `size` is that of the HTML in bytes; `segments` count
    the addresses that the message will carry in place of its own.
    """

    subject: str
    html: str | None
    text: str
    size: int
    segments: sms.Segments | None


@dataclass(frozen=True)
class _Letter:
    """All that one message is made of."""

    send: Send
    contact: Contact
    campaign: Campaign
    variant: Variant


def render(
    session: Session, send_ids: Sequence[int], *, now: datetime, config: Config, recommender: Recommends | None
) -> dict[int, Message | Exclusion]:
    """The message of each send. A template that cannot be filled in for somebody excludes that one, with the reason."""
    rows = session.execute(
        select(Send, Contact, Campaign, Variant)
        .join(Contact, Contact.id == Send.contact_id)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .join(Variant, Variant.id == Send.variant_id)
        .where(Send.id.in_(send_ids))
        .order_by(Send.id)
    )
    variants = defaultdict(list)
    for row in rows:
        variants[row.Variant.id].append(_Letter(*row))
    messages: dict[int, Message | Exclusion] = {}
    for letters in variants.values():
        messages |= _render(session, letters, now, config, recommender)
    return messages


def _render(
    session: Session, letters: Sequence[_Letter], now: datetime, config: Config, recommender: Recommends | None
) -> dict[int, Message | Exclusion]:
    """Messages of one variant: one compiled content, one question to the recommender."""
    campaign, variant = letters[0].campaign, letters[0].variant
    desk = _Desk(config, link_ids(session, campaign.id), now)
    if campaign.channel == "sms":
        text = sms.compile_sms(variant.text, language=config.locale.language)
        return {letter.send.id: _kept(desk.write_sms, letter, text) for letter in letters}
    compiled = _compiled(variant, config, pixel=config.tracking.opens)
    answers = _answers(session, letters, compiled, now, recommender)
    return {
        letter.send.id: _kept(desk.write_email, letter, compiled, answers.get(letter.send.id)) for letter in letters
    }


def _answers(
    session: Session,
    letters: Sequence[_Letter],
    compiled: email.Compiled,
    now: datetime,
    recommender: Recommends | None,
) -> Mapping[int, Any]:
    """What stands in the product blocks of each send."""
    if not compiled.products:
        return {}
    contacts = {letter.send.id: letter.contact.id for letter in letters}
    answers = products.offers(session, recommender, compiled.products, list(contacts.values()), now=now)
    return products.again(session, answers, contacts)


def _kept(make: Any, *given: Any) -> Message | Exclusion:
    try:
        message: Message = make(*given)
    except Invalid as error:
        return Exclusion(error.message[:255], "failed")
    return message


class _Desk:
    """Where messages of one campaign are made."""

    def __init__(self, config: Config, links: Mapping[str, int], now: datetime) -> None:
        self._config = config
        self._links = links
        self._now = now
        self._signer = tokens.signer(config)
        self._shop = facts.of_shop(config)
        self._domain = config.mail.from_address.rpartition("@")[2]

    def write_email(self, letter: _Letter, compiled: email.Compiled, answer: Any | None) -> Message:
        """An e-mail with its one-click header (RFC 8058) and the Message-ID it keeps for ever."""
        send, mail = letter.send, self._config.mail
        data = self._data(letter, compiled.urls) | {
            "unsubscribe_url": self.url("u", "unsubscribe", send.id),
            "view_url": self.url("v", "view", send.id),
            "pixel_url": self._pixel(send.id, answer),
            **self._items(send.id, compiled, answer),
        }
        return Message(
            send_id=send.id,
            channel="email",
            to=send.address or "",
            subject=" ".join(templating.render(compiled.subject, data).split()),
            html=templating.render(compiled.html, data),
            text=templating.render(compiled.text, data),
            message_id=self._message_id(send.id),
            from_address=mail.from_address,
            from_name=mail.from_name,
            headers={
                "List-Unsubscribe": f"<{data['unsubscribe_url']}>",  # no mailto: nobody reads that mailbox
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
            items=[item.item_id for item in products.leading(answer)],
            recommendation_id=products.compared(answer),
        )

    def write_sms(self, letter: _Letter, compiled: sms.Compiled) -> Message:
        """A text message."""
        send = letter.send
        return Message(
            send_id=send.id,
            channel="sms",
            to=send.address or "",
            subject="",
            html=None,
            text=templating.render(compiled.text, self._data(letter, compiled.urls)),
            message_id=self._message_id(send.id),
            from_address=self._config.sms.from_number,
            headers=self._status_callback(send.id),
        )

    def url(self, path: str, purpose: tokens.Purpose, *parts: int | str, end: str = "") -> str:
        """A public address that carries a token."""
        return f"{self._config.server.public_url.rstrip('/')}/{path}/{self._signer.sign(purpose, *parts)}{end}"

    def _data(self, letter: _Letter, urls: Iterable[str]) -> dict[str, Any]:
        send_id = letter.send.id
        links = {f"link_{i}": self.url("c", "click", send_id, self._links[url]) for i, url in enumerate(urls)}
        return data_of(letter.contact, letter.campaign.name, self._shop, self._now) | links

    def _items(self, send_id: int, compiled: email.Compiled, answer: Any | None) -> dict[str, Any]:
        def link(item: Any) -> str:
            told = answer.recommendation_id, item.source  # type: ignore[union-attr]
            return self.url("c", "click", send_id, item.item_id, *told)

        return products.fill(answer, compiled.products, language=self._config.locale.language, link=link)

    def _pixel(self, send_id: int, answer: Any | None) -> str:
        seen = (answer.recommendation_id,) if answer and answer.items else ()
        return self.url("o", "open", send_id, *seen, end=".gif")

    def _status_callback(self, send_id: int) -> dict[str, str]:
        """Where a carrier tells what became of a text. It refuses the text when it cannot reach the address, so none is
        given unless people reach us over TLS.
        """
        told = self._config.sms.transport == "http" and self._config.server.public_url.startswith("https://")
        return {"StatusCallback": self.url("hooks/sms", "message", send_id)} if told else {}

    def _message_id(self, send_id: int) -> str:
        return f"<{self._signer.sign('message', send_id)}@{self._domain}>"


def data_of(contact: Contact, campaign_name: str, shop: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """What every template of a message may name."""
    return {"contact": facts.of_contact(contact, now), "shop": shop, "campaign": {"name": campaign_name}}


def view(session: Session, send_id: int, *, now: datetime, config: Config, recommender: Recommends | None) -> str:
    """The e-mail for a browser, without the pixel: the content that was sent, which nobody can change once it has
    fired, filled in anew with what is known of the contact today, and the items that stood in it. Raises NotFound.

    No message is kept as it went out: at an assumed 20 KB each a million would take 20 GB, to show a name before its
    correction.
    """
    row = session.execute(
        select(Send, Contact, Campaign, Variant)
        .join(Contact, Contact.id == Send.contact_id)
        .join(Campaign, Campaign.id == Send.campaign_id)
        .join(Variant, Variant.id == Send.variant_id)
        .where(Send.id == send_id, Send.channel == "email")
    ).one_or_none()
    if row is None:
        raise NotFound("This message is no longer kept.")
    letter = _Letter(*row)
    compiled = _compiled(letter.variant, config, pixel=False)
    answers = _answers(session, [letter], compiled, now, recommender)
    desk = _Desk(config, link_ids(session, letter.campaign.id), now)
    return desk.write_email(letter, compiled, answers.get(send_id)).html or ""


def preview(
    session: Session,
    campaign_id: int,
    contact_id: int | None = None,
    *,
    now: datetime,
    config: Config,
    recommender: Recommends | None,
    variant: Variant | None = None,
) -> Preview:
    """The campaign as a contact (default: the first there is) would get it, with plain links that track nothing;
    `variant`: not with its own content but with this. Raises NotFound, and Invalid where the content does not compile.
    """
    campaign = session.get(Campaign, campaign_id)
    own = select(Variant).where(Variant.campaign_id == campaign_id).order_by(Variant.id)
    variant = variant or session.scalars(own).first()
    if campaign is None or variant is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    chosen = select(Contact).where(Contact.id == contact_id if contact_id else Contact.id > 0).order_by(Contact.id)
    contact = session.scalars(chosen.limit(1)).first() or Contact(attributes={})
    data = data_of(contact, campaign.name, facts.of_shop(config), now)
    if campaign.channel == "sms":
        text = sms.compile_sms(variant.text, language=config.locale.language)
        filled = templating.render(text.text, data | _plain_links(text.urls))
        tracked = _Desk(config, {}, now).url("c", "click", LARGE, LARGE)  # is what is sent and billed
        billed = templating.render(text.text, data | dict.fromkeys(_plain_links(text.urls), tracked))
        return Preview("", None, filled, len(filled.encode()), sms.segments(billed))
    compiled = _compiled(variant, config, pixel=False)
    answers = products.offers(session, recommender, compiled.products, [contact.id] if contact.id else [], now=now)
    data |= _plain_links(compiled.urls) | {"unsubscribe_url": "#", "view_url": "#"}
    data |= products.fill(
        answers.get(contact.id), compiled.products, language=config.locale.language, link=lambda item: str(item.url)
    )
    html = templating.render(compiled.html, data)
    subject = " ".join(templating.render(compiled.subject, data).split())
    return Preview(subject, html, templating.render(compiled.text, data), len(html.encode()), None)


def _plain_links(urls: Iterable[str]) -> dict[str, str]:
    return {f"link_{i}": url for i, url in enumerate(urls)}


def check(campaign: Campaign, variant: Variant, config: Config) -> tuple[str, ...]:
    """The destinations of a campaign's content; raises Invalid with field and line when something is wrong with it."""
    if campaign.channel == "sms":
        _required(variant.text, "text", "Write the text of the message.")
        templating.check(variant.text, field="text")
        return sms.compile_sms(variant.text, language=config.locale.language).urls
    _required(variant.subject, "subject", "Write a subject.")
    templating.check(variant.subject, field="subject")
    templating.check(variant.preheader, field="preheader")
    _required("".join(block["type"] for block in variant.blocks), "blocks", "Add at least one block.")
    blocks.check_blocks(variant.blocks)
    return _compiled(variant, config, pixel=config.tracking.opens).urls


def try_out(campaign: Campaign, variant: Variant, people: Sequence[Contact], *, now: datetime, config: Config) -> None:
    """Fill checked content in as the sender will, for `people` (a sample of the list) or, without any, for somebody
    made up of whom all is known. Raises Invalid with field and cause when it fails for every one of them: a filter
    that cannot work, a `break` outside a loop. What fails for some only leaves those out when it is sent.
    """
    shop = facts.of_shop(config)
    data = [data_of(person, campaign.name, shop, now) for person in people[:SAMPLE] or [_somebody(config)]]
    for path, source in _templates(campaign, variant):
        _fill_one([templating.parse(source, field=path)], data, path)
    if campaign.channel == "sms":
        text = sms.compile_sms(variant.text, language=config.locale.language)
        _fill_one([text.text], [one | _plain_links(text.urls) for one in data], "text")
        return
    compiled = _compiled(variant, config, pixel=config.tracking.opens)
    ours = _plain_links(compiled.urls) | dict.fromkeys(("unsubscribe_url", "view_url", "pixel_url"), "#")
    empty = products.fill(None, compiled.products, language=config.locale.language, link=str)
    whole = [compiled.subject, compiled.html, compiled.text]
    _fill_one(whole, [one | ours | empty for one in data], "blocks")


def _templates(campaign: Campaign, variant: Variant) -> Iterator[tuple[str, str]]:
    """Each text that may hold Liquid, with its path."""
    if campaign.channel == "sms":
        yield "text", variant.text
        return
    yield from (("subject", variant.subject), ("preheader", variant.preheader))
    for number, block in enumerate(variant.blocks):
        yield from ((f"blocks[{number}].{name}", text) for name, text in block.items() if isinstance(text, str))


def _fill_one(templates: Sequence[BoundTemplate], data: Sequence[Mapping[str, Any]], path: str) -> None:
    """Raise Invalid unless the templates can be filled in for one of them."""
    causes = []
    for one in data:
        try:
            for template in templates:
                templating.render(template, one)
        except Invalid as error:
            causes.append(error.message)
        else:
            return
    raise Invalid(f"{causes[0]} Nobody could get it: it was tried for {len(causes)}.", field=path)


def _somebody(config: Config) -> Contact:
    return Contact(
        key="1",
        email="ann@example.org",
        phone="+440000000000",
        first_name="Ann",
        last_name="Example",
        birth_date=date(1990, 1, 1),
        age=36,
        income=300_000_000,
        education="degree",
        household_size=2,
        country=config.locale.country,
        region="Region",
        city="City",
        postcode="1",
        language=config.locale.language,
        origin="web",
        attributes={},
    )


def _required(text: str, field: str, message: str) -> None:
    if not text.strip():
        raise Invalid(message, field=field)


def _compiled(variant: Variant, config: Config, *, pixel: bool) -> email.Compiled:
    return email.compile_email(
        variant.subject, variant.preheader, variant.blocks, language=config.locale.language, pixel=pixel
    )


def register_links(session: Session, campaign_id: int, urls: Iterable[str]) -> None:
    """Fix the destinations that this campaign's links may lead to."""
    rows = [{"campaign_id": campaign_id, "url": url, "digest": digest(url)} for url in urls]
    insert_new(session, Link.__table__, rows, ["campaign_id", "digest"])  # type: ignore[arg-type]


def link_ids(session: Session, campaign_id: int) -> dict[str, int]:
    """The number of each registered destination."""
    rows = session.execute(select(Link.url, Link.id).where(Link.campaign_id == campaign_id))
    return {row.url: row.id for row in rows}


def digest(url: str) -> str:
    """A short key of a destination."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]
