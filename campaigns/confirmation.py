"""Double opt-in: what is asked for in a form counts when the owner of the address says so.

A confirmation is a row. Its message goes out with the tick: the row is taken by a guarded UPDATE that moves its next
attempt beyond the time a carrier may take, so of many that tick one sends, and a process that dies half-way leaves
nothing but a later attempt. With a carrier that does not answer a message may come twice (always the same Message-ID),
in the outbox never. The link opens a page with a button: programs that follow every link confirm nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from campaigns import tokens
from campaigns.channels import open_transport
from campaigns.channels.base import Message, Receipt, Transport, TransportError
from campaigns.models import Confirmation
from engine import consent, contacts, identity
from engine.config import Config
from engine.consent import ADDRESSES, FINAL
from engine.database import Database
from engine.errors import Conflict, NotFound, RapportError
from engine.identity import names
from engine.models import Contact, Form
from engine.sources import forms, people
from engine.sources.forms import Ask
from engine.values import Words

log = logging.getLogger(__name__)

A_DAY: Final = 3  # messages to one address in 24 hours: whoever types somebody else's address is no nuisance
TEXTS: Final = 200  # of one form in 24 hours
LIFE: Final = timedelta(days=30)  # of a link
LEASE: Final = timedelta(minutes=15)  # beyond the 600 s an SMTP server may take over the end of the data
TRIES: Final = 6
PATIENCE: Final = timedelta(days=3)  # then a carrier that lets nobody through is no reason to go on
AT_ONCE: Final = 100  # messages of one tick: campaigns wait meanwhile
SECONDS: Final = 30  # to answer; longer would hold the tick up
SILENT: Final = FINAL | {"bounce", "manual"}  # such an address gets no message, not even when asked for

Say = Callable[[Words], str]

_SUBJECT: Final = Words("Please confirm: {title}", "请确认：{title}")
_ASKED: Final = Words("Somebody, most likely you, gave this address in the form “{title}” of {shop}.",
                      "有人（很可能是您本人）在 {shop} 的表单“{title}”中填写了此地址。")  # fmt: skip
_AGREED: Final = Words("You agreed to this:", "您同意了以下内容：")
_DO: Final = Words("Confirm", "确认")
_ELSE: Final = Words("If it was not you, do nothing: without the button on that page nothing happens.",
                     "如果不是您本人，请忽略本消息：不点击该页面上的按钮，就不会有任何变化。")  # fmt: skip
_TEXT: Final = Words("{shop}: please confirm “{title}”: {url}", "{shop}：请确认“{title}”：{url}")


def ask(session: Session, contact_id: int, form: Form, asks: Sequence[Ask], *, now: datetime, config: Config) -> None:
    """Keep what has to be confirmed; the message goes out with the next tick, unless the address must not be written to
    or was written to too often today.
    """
    for one in asks:
        reason = _why_not(session, one.channel, one.address, now) or _costly(session, one, form, now, config)
        session.add(
            Confirmation(
                contact_id=contact_id,
                form_id=form.id,
                channel=one.channel,
                address=one.address,
                wording=one.wording,
                facts=dict(one.facts),
                visitor=one.visitor,
                answer=one.answer,
                language=form.definition["language"],
                next_at=None if reason else now,
                reason=reason,
                asked_at=now,
            )
        )
    session.flush()


def _why_not(session: Session, channel: str, address: str, now: datetime) -> str | None:
    suppressed = consent.suppression(session, channel, address)
    if suppressed in SILENT:
        return f"suppressed: {suppressed}"
    sent = or_(Confirmation.next_at.is_not(None), Confirmation.sent_at.is_not(None))
    lately = Confirmation.address == address, Confirmation.asked_at > now - timedelta(days=1), sent
    asked = session.scalar(select(func.count()).where(*lately)) or 0
    return f"{A_DAY} messages in a day are enough" if asked >= A_DAY else None


def _costly(session: Session, one: Ask, form: Form, now: datetime, config: Config) -> str | None:
    """A text costs the shop money, and some earn by those to their own numbers: none abroad, and so many of a form."""
    if one.channel != "sms":
        return None
    countries = config.sms.form_countries.split() or [config.locale.country]
    if not set(consent.countries(one.address)) & set(countries):
        return "a form sends no texts to this country (sms.form_countries)"
    sent = or_(Confirmation.next_at.is_not(None), Confirmation.sent_at.is_not(None))
    mine = Confirmation.form_id == form.id, Confirmation.channel == "sms"
    lately = Confirmation.asked_at > now - timedelta(days=1)
    texts = session.scalar(select(func.count()).where(*mine, lately, sent)) or 0
    return f"{TEXTS} texts of a form in a day are enough" if texts >= TEXTS else None


def deliver(database: Database, config: Config, *, now: datetime) -> int:
    """Send what is due, at most AT_ONCE messages; how many went out. A carrier that fails is left alone until later."""
    patient = replace(
        config, mail=replace(config.mail, smtp_timeout_seconds=min(SECONDS, config.mail.smtp_timeout_seconds))
    )
    transports: dict[str, Transport] = {}
    sent = 0
    try:
        for _ in range(AT_ONCE):
            found = _claim(database, config, now)
            if found is None:
                break
            row_id, message = found
            if message.channel not in transports:
                transports[message.channel] = open_transport(message.channel, patient)
            sent += _carry(database, transports[message.channel], row_id, message, now)
    except Exception:
        log.exception("Sending confirmations failed; the next tick tries again.")
    finally:
        for transport in transports.values():
            transport.close()
    return sent


def _claim(database: Database, config: Config, now: datetime) -> tuple[int, Message] | None:
    """Take the next one that is due; looks before it writes."""
    due = select(Confirmation.id).where(Confirmation.next_at <= now).order_by(Confirmation.next_at).limit(1)
    with database.read() as session:
        if session.scalar(due) is None:
            return None
    with database.begin() as session:
        row_id = session.scalar(due.with_for_update(skip_locked=True))
        if row_id is None:
            return None
        row = session.get_one(Confirmation, row_id)
        row.next_at, row.attempts = now + LEASE, row.attempts + 1
        return row_id, message(row, session.get_one(Form, row.form_id), config)


def _carry(database: Database, transport: Transport, row_id: int, given: Message, now: datetime) -> int:
    try:
        receipt = transport.send(given, lambda: None)
    except TransportError as error:
        with database.begin() as session:
            _failed(session, row_id, error, now)
        return 0
    except Exception as error:  # a silence, too: the message may be out, and comes again
        log.warning("A confirmation may not have gone out: %r", error)
        with database.begin() as session:
            _failed(session, row_id, TransportError(str(error) or repr(error)), now)
        return 0
    with database.begin() as session:
        _went(session, row_id, receipt, now)
    return 1


def _went(session: Session, row_id: int, receipt: Receipt, now: datetime) -> None:
    if receipt.record is not None:
        receipt.record(session)
    done = {"next_at": None, "sent_at": now, "reason": None}
    session.execute(update(Confirmation).where(Confirmation.id == row_id).values(done))


def _failed(session: Session, row_id: int, error: TransportError, now: datetime) -> None:
    """Try again later, or give up: a refusal for good, too many tries, or a carrier that is away for days."""
    row = session.get(Confirmation, row_id)
    if row is None:  # erased meanwhile
        return
    row.reason = str(error)[:255]
    everybody = error.concerns != "message"
    over = now - row.asked_at > PATIENCE if everybody else error.permanent or row.attempts >= TRIES
    wait = timedelta(minutes=min(2 ** min(row.attempts, 6), 60))
    row.next_at = None if over else now + wait
    if everybody:
        row.attempts -= 1
        later = Confirmation.channel == row.channel, Confirmation.next_at <= now
        session.execute(update(Confirmation).where(*later).values(next_at=now + timedelta(minutes=1)))
    if error.suppress:
        consent.suppress(session, row.channel, row.address, error.suppress, now)


def message(row: Confirmation, form: Form, config: Config) -> Message:
    """The message with its link; transactional: it sells nothing and nobody can unsubscribe from it."""
    signer = tokens.signer(config)
    token = signer.sign("confirm", row.id)
    url = f"{config.server.public_url.rstrip('/')}/y/{token}"
    said = {"title": form.definition["title"], "shop": config.mail.from_name, "url": url}

    def words(one: Words) -> str:
        return one(row.language).format_map(said)

    email = row.channel == "email"
    mail = config.mail
    return Message(
        send_id=0,
        channel=row.channel,
        to=row.address,
        subject=words(_SUBJECT) if email else "",
        html=_html(row, words, url, mail.postal_address, mail.from_name) if email else None,
        text=_plain(row, words, url, mail.postal_address, mail.from_name) if email else words(_TEXT),
        message_id=f"<confirm.{token}@{mail.from_address.rpartition('@')[2]}>",
        from_address=mail.from_address if email else config.sms.from_number,
        from_name=mail.from_name if email else "",
        headers={"Auto-Submitted": "auto-generated"} if email else {},  # RFC 3834: no holiday note comes back
    )


def _plain(row: Confirmation, words: Say, url: str, address: str, shop: str) -> str:
    agreed = [_AGREED(row.language), f"“{row.wording}”", ""] if row.wording else []
    return "\n".join(
        [words(_ASKED), "", *agreed, f"{words(_DO)}: {url}", "", words(_ELSE), "", f"-- \n{shop}, {address}\n"]
    )


_PAGE: Final = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>'
    '<body style="margin:0;padding:24px;background:#f2f4f7"><div style="max-width:560px;margin:0 auto;padding:24px;'
    "background:#ffffff;font:16px/1.55 -apple-system,Segoe UI,Helvetica,Arial,PingFang SC,Microsoft YaHei,sans-serif;"
    'color:#1a1f26"><p>{asked}</p>{agreed}<p><a href="{url}" style="display:inline-block;padding:12px 24px;'
    'border-radius:6px;background:#1f5fbf;color:#ffffff;font-weight:600;text-decoration:none">{do}</a></p>'
    '<p style="color:#5b6470;font-size:14px">{otherwise}</p>'
    '<p style="color:#5b6470;font-size:12px">{sender}</p></div></body></html>'
)


def _html(row: Confirmation, words: Say, url: str, address: str, shop: str) -> str:
    agreed = f"<p>{_AGREED(row.language)}<br>“{escape(row.wording)}”</p>" if row.wording else ""
    return _PAGE.format(
        language="zh-CN" if row.language.startswith("zh") else "en",
        title=escape(words(_SUBJECT)),
        asked=escape(words(_ASKED)),
        agreed=agreed,
        url=escape(url),
        do=words(_DO),
        otherwise=words(_ELSE),
        sender=escape(f"{shop}, {address}"),
    )


def get(session: Session, confirmation_id: int, *, now: datetime) -> Confirmation:
    """What a link stands for; raises NotFound when it is over."""
    row = session.get(Confirmation, confirmation_id)
    if row is None or (row.confirmed_at is None and now - row.asked_at > LIFE):
        raise NotFound("This link is no longer good: fill the form in again.")
    return row


def confirm(session: Session, confirmation_id: int, *, now: datetime, config: Config) -> Confirmation:
    """The owner of the address says yes: the consent is granted with its evidence, what waited is written, browser and
    answer are theirs. A second time changes nothing. Raises NotFound, and Conflict when the address is not the
    contact's any more or must never be written to again.
    """
    names.alone(session)
    identity.alone(session)
    session.execute(select(Confirmation.id).where(Confirmation.id == confirmation_id).with_for_update())
    row = get(session, confirmation_id, now=now)
    if row.confirmed_at is not None:
        return row
    _prove(session, row, now)
    form, contact = (
        session.get_one(Form, row.form_id),
        contacts.get(session, row.contact_id),
    )  # of a merged one the kept
    if getattr(contact, ADDRESSES[row.channel]) != row.address:
        raise Conflict("This address is not in use here any more: fill the form in again.")
    row.confirmed_at, row.next_at = now, None
    if row.wording:
        _grant(session, row, form, now)
    if row.visitor:
        identity.identify(session, row.visitor, row.contact_id, now)
    if row.answer:
        forms.own(session, row.answer, row.contact_id)
    session.flush()
    if row.facts:
        people.write(session, contact.key, row.facts, origin=form.origin, now=now, config=config)
    return row


def _prove(session: Session, row: Confirmation, now: datetime) -> None:
    """By the main address alone who filled a form in joins whom it names: a telephone beside an e-mail address that
    nobody has confirmed says nothing of whose that is.
    """
    one, column = session.get_one(Contact, row.contact_id), ADDRESSES[row.channel]
    main = "email" if one.email else "phone"
    if one.key.startswith(identity.FORM) and column == main and getattr(one, column) == row.address:
        identity.prove(session, one.id, (column, row.address), now)


def _grant(session: Session, row: Confirmation, form: Form, now: datetime) -> None:
    try:
        consent.lift(session, row.channel, row.address)
    except RapportError:
        raise Conflict("This address was taken off for good and nobody can put it back from here.") from None
    evidence = (
        f"form {form.key} “{form.name}”, asked {row.asked_at:%Y-%m-%d %H:%M} UTC: “{row.wording}”;"
        f" confirmed {now:%Y-%m-%d %H:%M} UTC by the link sent to {row.address}"
    )
    consent.record(
        session, row.contact_id, row.channel, True, origin=form.origin, evidence=evidence, confirmed=True, now=now
    )


def waiting(session: Session, form_id: int, limit: int = 50) -> Sequence[Confirmation]:
    """Who was asked to confirm an answer of this form, the newest first."""
    rows = select(Confirmation).where(Confirmation.form_id == form_id).order_by(Confirmation.id.desc()).limit(limit)
    return session.scalars(rows).all()


def counts(session: Session, form_id: int) -> tuple[int, int, int]:
    """How many were asked to confirm, were sent the message, and have confirmed."""
    columns = func.count(), func.count(Confirmation.sent_at), func.count(Confirmation.confirmed_at)
    asked, sent, confirmed = session.execute(select(*columns).where(Confirmation.form_id == form_id)).one()
    return asked, sent, confirmed
