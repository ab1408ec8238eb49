"""The history of a contact in words: entries of campaigns.visits with what a page needs to say about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from babel.dates import format_datetime
from flask_babel import get_locale, gettext, lazy_gettext, ngettext
from markupsafe import Markup, escape
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.bought import NAMED, Bought, Click, bought
from campaigns.models import Campaign
from campaigns.visits import Entry, Visit, moments
from engine.fields import BEHAVIOURS, other_behaviour
from engine.timeline import Moment, Thing
from recommender import placements
from web.services import services

PARTS: Final = {  # of campaigns.history.PARTS
    "": lazy_gettext("Everything"),
    "orders": lazy_gettext("Orders"),
    "visits": lazy_gettext("Visits"),
    "messages": lazy_gettext("Messages"),
    "answers": lazy_gettext("Answers"),
    "consent": lazy_gettext("Consent"),
    "other": lazy_gettext("Other"),
}
SOURCES: Final = {
    "bundles": lazy_gettext("a bundle"),
    "rules": lazy_gettext("often bought together"),
    "collaborative": lazy_gettext("chosen for this person"),
    "session": lazy_gettext("looked at in visits like this"),
    "similar": lazy_gettext("more like it"),
    "upsell": lazy_gettext("a step up"),
    "next_purchase": lazy_gettext("often bought next"),
    "buy_again": lazy_gettext("bought before"),
    "trending": lazy_gettext("on the rise"),
    "popular_in_category": lazy_gettext("best-seller of the category"),
    "popular": lazy_gettext("best-seller"),
    "newest": lazy_gettext("new in the shop"),
    "pin": lazy_gettext("put there by the shop"),
}
ABOUT: Final = {  # what an event without an item is about: the first of these that it tells
    "page_view": ("title", "url"),
    "item_view": ("unknown_item",),
    "cart_add": ("unknown_item",),
    "search": ("query",),
    "checkout": ("order",),
    "click": ("link",),
    "survey": ("form",),
    "call": ("subject", "interest", "note"),
    "flyer_scan": ("flyer", "code"),
    "sms_reply": ("text",),
    "list_join": ("list",),
    "list_leave": ("list",),
    "bounce": ("reason", "bounce"),
}
OFFERED: Final = ("impression", "recommendation_click")
LONG: Final = 120  # letters of what an event is about


def deed(event_type: str) -> str:
    """What somebody did, in the page's language: "Viewed an item"."""
    return _capital((BEHAVIOURS.get(event_type) or other_behaviour(event_type)).verb(str(get_locale())))


@dataclass(frozen=True)
class History:
    """Entries of one contact, and what is known of what they name."""

    entries: Sequence[Entry]
    bought: Mapping[int, Bought]
    campaigns: Mapping[int, str]
    places: Mapping[str, str]

    @classmethod
    def read(cls, session: Session, contact_id: int, entries: Sequence[Entry]) -> History:
        """Look up what the entries name: a query each, however many there are."""
        found = moments(entries)
        ids = set(filter(None, (_campaign(moment.told) for moment in found)))
        named = select(Campaign.id, Campaign.name).where(Campaign.id.in_(sorted(ids)))
        offered = any(moment.title in OFFERED or moment.kind == "order" for moment in found)
        return cls(
            entries,
            bought(session, contact_id, [moment for moment in found if moment.kind == "order"]),
            dict(session.execute(named).all()) if ids else {},
            {key: plan.name for key, plan in placements.read(session).items()} if offered else {},
        )

    @staticmethod
    def is_visit(entry: Entry) -> bool:
        """Or a moment that stands by itself?"""
        return isinstance(entry, Visit)

    def order(self, moment: Moment) -> Bought:
        """What stands in an order."""
        return self.bought.get(moment.id) or Bought()

    def about(self, moment: Moment) -> str:
        """What an event is about beside its item; a fetch by a program says so."""
        names = ABOUT.get(moment.title, ())
        plain = "" if moment.item else moment.detail
        said = [next((str(moment.told[name]) for name in names if moment.told.get(name)), plain)[:LONG]]
        said.append(self.campaigns.get(_campaign(moment.told), ""))
        said.append(gettext("by a program, not by a person") if moment.told.get("machine") is True else "")
        return " · ".join(filter(None, said))

    def offer(self, told: Mapping[str, Any]) -> str:
        """Where a recommendation stood and what put it there: "Cart, often bought together"."""
        return ", ".join(filter(None, (self._place(told), _source(told))))

    def offers(self, row: Sequence[Moment]) -> str:
        """The same of a whole row, whose items may come from several sources."""
        sources = dict.fromkeys(_source(moment.told) for moment in reversed(row))
        return ", ".join(filter(None, (self._place(row[0].told), *sources)))

    def led(self, order: Moment, click: Click) -> Markup:
        """That an order followed a click."""
        known = {"item": named(click.item), "offer": self.offer(click.told), "time": passed(click.at, order.at)}
        if known["offer"]:
            return escape(gettext("Clicked %(item)s (%(offer)s) %(time)s before")) % known
        return escape(gettext("Clicked %(item)s %(time)s before")) % known

    def _place(self, told: Mapping[str, Any]) -> str:
        key = str(told.get("placement") or "")
        return self.places.get(key, key)[:LONG]


def head(visit: Visit) -> str:
    """ "Visit of 12 minutes from example.org"."""
    time, origin = passed(visit.began, visit.at), came_from(visit)
    if origin:
        return str(gettext("Visit of %(time)s from %(origin)s", time=time, origin=origin))
    return str(gettext("Visit of %(time)s", time=time))


def did(visit: Visit) -> Markup:
    """What was done in a visit, in one line."""
    searched = visit.words("search", "query")
    told = [
        _things(gettext("looked at %(items)s"), visit.items("item_view")),
        _line(gettext("searched for %(items)s"), [escape(f"“{query[:LONG]}”") for query in searched]),
        _things(gettext("put %(items)s in the cart"), visit.items("cart_add")),
        _things(gettext("took %(items)s out of the cart"), visit.items("cart_remove")),
        escape(gettext("left a cart")) if visit.count("cart_abandon") else "",
        escape(gettext("finished a checkout")) if visit.count("checkout") else "",
        escape(_offered(visit.count("impression"), visit.count("recommendation_click"))),
    ]
    pages = visit.count("page_view")
    if not any(told) and pages:
        told.append(escape(ngettext("%(num)s page", "%(num)s pages", pages)))
    return Markup("; ").join(filter(None, told)) or escape(", ".join(map(deed, _types(visit))))


def came_from(visit: Visit) -> str:
    """What brought somebody: the campaign in the address, else the page before."""
    sources = visit.words("page_view", "utm_source") or visit.words("page_view", "referrer")
    return _host(sources[0])[:LONG] if sources else ""


def named(item: Thing) -> Markup:
    """An item's title, leading to its page in the shop where it has one."""
    if (item.url or "").lower().startswith(("http://", "https://")):
        return Markup('<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>').format(item.url, item.name)
    return escape(item.name)


def listed(order: Bought) -> Markup:
    """ "3 items: Tea, Cup and 1 more"."""
    names = _line(": %(items)s", [named(item) for item in order.items], order.count)
    return escape(ngettext("%(num)s item", "%(num)s items", order.count)) + escape(names)


def clock(at: datetime) -> Markup:
    """The time of the day in the shop's zone; hovering shows the moment."""
    words = format_datetime(at, "HH:mm", tzinfo=services().config.locale.zone, locale=str(get_locale()))
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S"), words
    )


def items_of(row: Sequence[Moment]) -> Markup:
    """The items of moments by name, in the order they happened."""
    return Markup(", ").join(named(moment.item) for moment in reversed(row) if moment.item)


def passed(began: datetime, ended: datetime) -> str:
    """How much time: 40 seconds, 12 minutes, 3 hours, 2 days."""
    seconds = max(int((ended - began).total_seconds()), 0)
    if seconds < 60:
        return str(gettext("less than a minute"))
    if seconds < 3_600:
        return str(ngettext("%(num)s minute", "%(num)s minutes", seconds // 60))
    if seconds < 86_400:
        return str(ngettext("%(num)s hour", "%(num)s hours", seconds // 3_600))
    return str(ngettext("%(num)s day", "%(num)s days", seconds // 86_400))


def _offered(seen: int, clicked: int) -> str:
    if not seen and not clicked:
        return ""
    if not seen:
        return str(ngettext("%(num)s recommendation clicked", "%(num)s recommendations clicked", clicked))
    words = ngettext("%(num)s recommendation seen", "%(num)s recommendations seen", seen)
    return f"{words}, {gettext('%(number)s clicked', number=clicked)}" if clicked else words


def _things(text: str, items: Sequence[Thing]) -> Markup | str:
    return _line(text, [named(item) for item in items])


def _line(text: str, names: Sequence[Markup], count: int = 0) -> Markup | str:
    """The first of the names in a text, and how many more of `count` (else of the names); "" where there is none."""
    if not names:
        return ""
    shown, more = Markup(", ").join(names[:NAMED]), (count or len(names)) - NAMED
    if more > 0:
        shown += escape(f" {ngettext('and %(num)s more', 'and %(num)s more', more)}")
    return escape(text) % {"items": shown}


def _host(address: str) -> str:
    """The host of an address; what has none is told as it is: pages of the shop, so anybody, write what they like."""
    try:
        return (urlsplit(address).hostname if "//" in address else None) or address
    except ValueError:  # "http://[x/"
        return address


def _campaign(told: Mapping[str, Any]) -> int:
    """The campaign that an event names; 0: none, or what is no id, for events bring any value under any name."""
    number = told.get("campaign_id")
    return number if type(number) is int and 0 < number < 2**63 else 0


def _source(told: Mapping[str, Any]) -> str:
    name = str(told.get("source") or "")[:LONG]
    return str(SOURCES.get(name) or name.replace("_", " "))


def _types(visit: Visit) -> Iterable[str]:
    return dict.fromkeys(moment.title for moment in reversed(visit.moments))


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
