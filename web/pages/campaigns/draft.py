"""What the page of a draft shows: fields with their faults, steps, checks, whom it would reach."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from flask_babel import gettext, lazy_gettext, ngettext
from sqlalchemy.orm import Session

from campaigns import content, experiment, planning
from campaigns.content.email import CLIPPED
from campaigns.estimates import Estimate, estimate
from campaigns.models import Campaign, Variant
from campaigns.plans import HOLDOUT_LIMIT
from engine import lists
from engine.errors import Invalid, RapportError
from engine.models import Contact, ContactList
from web.format import number, share
from web.pages.campaigns import form
from web.pages.campaigns.door import keep, recall
from web.services import services

PEOPLE: Final = 50  # of the list, to look at the message as one of them
TYPED: Final = 10_000  # above so many people the number must be typed

STEPS: Final = (
    ("goal", lazy_gettext("Goal & costs")),
    ("audience", lazy_gettext("Audience")),
    ("content", lazy_gettext("Content")),
    ("schedule", lazy_gettext("Schedule")),
    ("review", lazy_gettext("Review")),
)
# Fields that a message may name, with the Liquid that is put into it.
INSERTS: Final = (
    (lazy_gettext("First name, or “there”"), "{{ contact.first_name | default: 'there' }}"),
    (lazy_gettext("First name"), "{{ contact.first_name }}"),
    (lazy_gettext("Last name"), "{{ contact.last_name }}"),
    (lazy_gettext("City"), "{{ contact.city }}"),
    (lazy_gettext("Region"), "{{ contact.region }}"),
    (lazy_gettext("Customer number"), "{{ contact.key }}"),
    (lazy_gettext("Name of the shop"), "{{ shop.name }}"),
    (lazy_gettext("Only if a first name is known"), "{% if contact.first_name %}…{% endif %}"),
)
PLAIN: Final = ("name", "fixed_cost", "message_cost", "window_days", "list_id", "holdout", "at")
PATH: Final = re.compile(r"blocks\[(\d+)\](?:\.(\w+))?")


@dataclass(frozen=True)
class Check:
    """One line of the review. kind: good, note, warn or bad; `anchor` leads to where it is put right."""

    kind: str
    words: str
    anchor: str


@dataclass(frozen=True)
class Draft:
    """A draft with everything that is said about it. `keys` name the blocks; `refused` could not be kept; `gone` are
    blocks removed since the page was opened, each (before how many blocks it stood, key, block).
    """

    campaign: Campaign
    variant: Variant
    review: content.Review
    keys: Sequence[str]
    refused: Mapping[str, str]
    chosen: ContactList | None
    gone: Sequence[tuple[int, str, dict[str, Any]]] = ()

    @property
    def blocks(self) -> list[tuple[str, dict[str, Any]]]:
        """(key, block) in order."""
        return list(zip(self.keys, self.variant.blocks, strict=True))

    @property
    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """The same with the removed ones at their places."""
        rows = self.blocks
        for place, key, block in reversed(self.gone):
            rows.insert(place, (key, block))
        return rows

    @property
    def faults(self) -> dict[str, str]:
        """What to put right in what was typed, by the id of the field on the page; what is still empty is a matter
        for the review only.
        """
        found = {self._id(path): words for path, words in self.review.faults.items() if self._typed(path)}
        return {**found, **self.refused}

    @property
    def fields(self) -> list[str]:
        """The ids of all fields that can have a fault."""
        email = self.campaign.channel == "email"
        content_fields = [f"{key}-{name}" for key, block in self.blocks for name in block if name != "type"]
        return [*PLAIN, *(["subject", "preheader", "blocks", *content_fields] if email else ["text"])]

    @property
    def done(self) -> dict[str, bool]:
        """Which steps have all they need."""
        return {
            "goal": not self.refused.keys() & {"name", "fixed_cost", "message_cost", "window_days"},
            "audience": self.chosen is not None and "holdout" not in self.refused,
            "content": not self.review.faults,
            "schedule": "at" not in self.refused,
        }

    def _id(self, path: str) -> str:
        """blocks[2].url is the field b5-url when the third block has the key b5."""
        found = PATH.fullmatch(path)
        if found is None or int(found[1]) >= len(self.keys):
            return path
        return f"{self.keys[int(found[1])]}-{found[2] or 'type'}"

    def _typed(self, path: str) -> bool:
        found = PATH.fullmatch(path)
        if found is None:
            return bool(getattr(self.variant, path, True))
        return bool(self.variant.blocks[int(found[1])].get(found[2] or "type"))

    def anchor(self, path: str) -> str:
        """The same as an address within the page."""
        return f"#{self._id(path)}"


def look(
    session: Session, campaign: Campaign, rows: form.Keyed | None = None, refused: Mapping[str, str] | None = None
) -> Draft:
    """Everything about a draft but whom it reaches. `rows` and `refused`: what its form said (form.Read)."""
    variant = planning.variant_of(session, campaign.id)
    chosen = session.get(ContactList, campaign.list_id) if campaign.list_id else None
    keys, gone = _places(rows or [])
    if len(keys) != len(variant.blocks):
        keys, gone = [f"b{number}" for number in range(len(variant.blocks))], []
    return Draft(
        campaign,
        variant,
        content.review(campaign, variant, services().config),
        keys,
        refused or {},
        chosen if chosen and chosen.deleted_at is None else None,
        gone,
    )


def _places(rows: form.Keyed) -> tuple[list[str], list[tuple[int, str, dict[str, Any]]]]:
    keys: list[str] = []
    gone = []
    for key, block in rows:
        if form.GONE in block:
            gone.append((len(keys), key, block))
        else:
            keys.append(key)
    return keys, gone


def reach(session: Session, draft: Draft, now: datetime) -> Estimate | None:
    """Whom it would reach, as far as a list is chosen and its criteria can be read."""
    if draft.chosen is None:
        return None
    try:
        found = estimate(session, services().warehouse, draft.campaign.id, now=now)
    except RapportError:
        return None
    return keep(_key(draft), now, found)


def known_reach(draft: Draft, now: datetime) -> Estimate | None:
    """The same when it is known from the last minutes."""
    return recall(_key(draft), now) if draft.chosen else None


def _key(draft: Draft) -> tuple[Any, ...]:
    one = draft.campaign
    plan = one.channel, one.list_id, one.holdout, one.window_days, one.fixed_cost, one.message_cost
    return "reach", one.id, plan, draft.chosen and draft.chosen.version


def readers(session: Session, draft: Draft, now: datetime) -> list[Contact]:
    """People of the list to look at the message as; nobody without one."""
    if draft.chosen is None:
        return []
    try:
        return lists.members(session, services().warehouse, draft.chosen.id, now, limit=PEOPLE)
    except RapportError:
        return []


def preview(session: Session, draft: Draft, contact_id: int | None, now: datetime) -> content.Preview | None:
    """The message as one contact would get it, without what is not right in it yet; None when nothing is."""
    ours, given = services(), _sound(draft)
    try:
        return content.preview(session, draft.campaign.id, contact_id, now=now, config=ours.config,
                               recommender=ours.recommender, variant=given)  # fmt: skip
    except RapportError:
        return None


def tried(
    session: Session, draft: Draft, contact_id: int | None, now: datetime
) -> tuple[Draft, content.Preview | None]:
    """The draft with its preview. When that one contact cannot get it, the people of the list are asked: what fails
    for all of them is a fault like any other.
    """
    shown = preview(session, draft, contact_id, now)
    if shown is not None or draft.review.faults:
        return draft, shown
    try:
        planning.try_out(session, services().warehouse, draft.campaign, now=now, config=services().config)
    except Invalid as error:
        found = replace(draft.review, faults={error.field or "blocks": error.message})
        draft = replace(draft, review=found)
    return draft, preview(session, draft, contact_id, now)


def _sound(draft: Draft) -> Variant | None:
    """The content less its faulty fields and blocks, to look at while it is written; None: all of it is sound."""
    faults, kept = draft.review.faults, draft.variant
    if not faults:
        return None
    wrong = {int(found[1]) for found in map(PATH.fullmatch, faults) if found}
    texts = {name: "" if name in faults else getattr(kept, name) for name in ("subject", "preheader", "text")}
    return Variant(**texts, blocks=[block for number, block in enumerate(kept.blocks) if number not in wrong])


def checks(draft: Draft, found: Estimate | None, shown: content.Preview | None, now: datetime) -> list[Check]:
    """The review, gravest first."""
    email = draft.campaign.channel == "email"
    lines = [
        *_faults(draft),
        *_audience(draft, found),
        *_sender(email=email),
        *_content(draft, shown),
        *(_mail(draft, shown) if email else _text(shown)),
        *_timing(draft, now),
    ]
    order = ("bad", "warn", "note", "good")
    return sorted(lines, key=lambda line: order.index(line.kind))


def _faults(draft: Draft) -> Iterator[Check]:
    for path, words in draft.review.faults.items():
        yield Check("bad", words, draft.anchor(path))
    for name, words in draft.refused.items():
        yield Check("bad", words, f"#{name}")


def _audience(draft: Draft, found: Estimate | None) -> Iterator[Check]:
    if draft.chosen is None:
        yield Check("bad", gettext("Choose whom it goes to."), "#list_id")
        return
    yield Check("good", gettext("It goes to “%(name)s”.", name=draft.chosen.name), "#list_id")
    if found is not None and found.sent == 0:
        yield Check("bad", gettext("Nobody on the list can be written to."), "#list_id")
    left_out = sum(found.excluded.values()) if found else 0
    if left_out:
        words = gettext(
            "%(n)s people are left out: no address, no consent, suppressed or twice on the list.", n=number(left_out)
        )
        yield Check("note", words, "#audience")
    if draft.campaign.holdout == 0:
        yield Check("warn", gettext("Nobody is held out: the report cannot say what the campaign caused."), "#holdout")


def _sender(*, email: bool) -> Iterator[Check]:
    config = services().config
    if email and not config.mail.postal_address.strip():
        yield Check("bad", gettext("Set mail.postal_address: the law asks for it in every marketing mail."), "")
    sender = f"{config.mail.from_name} <{config.mail.from_address}>" if email else config.sms.from_number
    if sender:
        yield Check("good", gettext("It comes from %(sender)s.", sender=sender), "")
    if (config.mail if email else config.sms).transport == "outbox":
        yield Check("note", gettext("Messages stay in the outbox of this machine; nobody gets them."), "")


def _content(draft: Draft, shown: content.Preview | None) -> Iterator[Check]:
    if draft.review.faults:
        return
    yield Check("good", gettext("Every field and block can be filled in."), "#content")
    links = len(draft.review.urls)
    picks = any(block["type"] == "products" for block in draft.variant.blocks)
    if links:
        yield Check(
            "good",
            ngettext(
                "%(num)s link, a whole web address; clicks are counted.",
                "%(num)s links, each a whole web address; clicks are counted.",
                links,
            ),
            "#content",
        )
    elif not (picks and shown):
        yield Check("warn", gettext("There is no link: nobody can follow it."), "#content")
    for name in draft.review.bare_fields:
        yield Check("warn", gettext("Who has no %(field)s reads a gap: give it a default.", field=name), "#content")


def _mail(draft: Draft, shown: content.Preview | None) -> Iterator[Check]:
    yield Check("good", gettext("Unsubscribe link and postal address stand in the footer of every mail."), "#content")
    if not draft.variant.preheader.strip():
        yield Check("warn", gettext("Without a preheader the inbox shows the first words of the mail."), "#preheader")
    for path in draft.review.silent_images:
        yield Check("warn", gettext("A picture has no description for those who do not see it."), draft.anchor(path))
    if shown is not None:
        kind = "warn" if shown.size > CLIPPED else "good"
        words = gettext("%(size)s kB; Gmail cuts a mail at %(most)s kB.", size=number(shown.size / 1000, 1),
                        most=CLIPPED // 1000)  # fmt: skip
        yield Check(kind, words, "#content")


def _text(shown: content.Preview | None) -> Iterator[Check]:
    yield Check("good", gettext("It says how to stop."), "#text")
    if shown is not None and shown.segments is not None and shown.segments.count > 1:
        yield Check(
            "warn", gettext("It takes %(n)s segments, each of which is billed.", n=shown.segments.count), "#text"
        )


def _timing(draft: Draft, now: datetime) -> Iterator[Check]:
    due = draft.campaign.due_at
    if due is not None and due < now:
        yield Check("bad", gettext("The time it is scheduled for has passed."), "#at")


def left_out(found: Estimate) -> list[tuple[str, int]]:
    """Every step of the waterfall, zero too, so that nothing seems forgotten."""
    return [(reason, found.excluded.get(reason, 0)) for reason in REASONS]


REASONS: Final = {
    "no address": lazy_gettext("No address"),
    "no consent": lazy_gettext("No consent"),
    "suppressed": lazy_gettext("Suppressed"),
    "duplicate address": lazy_gettext("Same address twice"),
}


def power(found: Estimate, campaign: Campaign, money: Any) -> str:
    """What the holdout can show, in words."""
    if campaign.holdout == 0:
        return str(gettext("Without a holdout nobody can say what the campaign caused: only an upper bound."))
    if found.needed is not None:
        return _too_few(found, campaign, found.needed)
    if found.detectable is None:
        return str(gettext("Nobody here bought anything in the last %(days)s days, so there is nothing to judge the"
                           " holdout by.", days=campaign.window_days))  # fmt: skip
    amount = money(round(found.detectable * 10_000), found.currency)
    if found.detectable_share is None:
        return str(gettext("You will be able to see an effect of %(amount)s a person or more.", amount=amount))
    seen = gettext("You will be able to see an effect of %(amount)s a person or more: %(share)s of what they spend in"
                   " %(days)s days.", amount=amount, share=share(found.detectable_share, 0),
                   days=campaign.window_days)  # fmt: skip
    return (
        f"{seen} {gettext('That is a lot to ask: judge this one by clicks.')}" if found.detectable_share > 1 else seen
    )


def _too_few(found: Estimate, campaign: Campaign, needed: int) -> str:
    """The report will refuse a verdict: what it would take, as far as so many may be held out."""
    few = gettext("Too few buyers for any verdict: going by the last %(days)s days about %(buyers)s of the %(held)s"
                  " held out would buy, and %(least)s are needed.", days=campaign.window_days,
                  buyers=number(found.buyers * found.held / (found.held + found.sent)), held=number(found.held),
                  least=experiment.FEW_BUYERS)  # fmt: skip
    if needed > (found.held + found.sent) * HOLDOUT_LIMIT:
        return f"{few} {gettext('The list is too small for that: judge this one by clicks.')}"
    remedy = gettext("Hold out about %(n)s people, or judge this one by clicks.", n=number(needed))
    return f"{few} {remedy}"
