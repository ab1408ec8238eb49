"""How contacts may be reached: the last word of consent on each channel, suppressions, and both together."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import ibis

from engine import fields
from engine.consent import ADDRESSES, ERASED, FINAL
from engine.fields import Field
from engine.values import Clock, Words

NAMES: Final = {"email": Words("e-mail", "电子邮件"), "sms": Words("SMS", "短信")}


def register() -> None:
    """Add the fields of both channels."""
    for channel, name in NAMES.items():
        for kind, view in {"word": _last_word, "suppression": _suppressed, "reach": _reach}.items():
            fields.register_view(f"{channel}_{kind}", partial(view, channel))
        for row in _fields(channel, name):
            fields.register(row)


def _last_word(channel: str, warehouse: Any, _clock: Clock) -> Any:
    """The last word of each contact, by the order of the ledger."""
    words = warehouse.table("consents")
    words = words.filter(words.channel == channel)
    last = words.group_by("contact_id").agg(last=words.id.max()).select("last")
    return words.inner_join(last, words.id == last.last)


def _suppressed(channel: str, warehouse: Any, _clock: Clock) -> Any:
    """contact_id and reason, one that is final first. An erased person's address is known by its digest only."""
    contacts, rows = warehouse.table("contacts"), warehouse.table("suppressions")
    address = contacts[ADDRESSES[channel]]
    owners = contacts.filter(address.notnull()).select(contact_id=contacts.id, address=address)
    rows = rows.filter(rows.channel == channel).select("reason", held=rows.address)
    readable, digests = rows.filter(~rows.held.startswith(ERASED)), rows.filter(rows.held.startswith(ERASED))
    found = owners.inner_join(readable, owners.address == readable.held)
    digest = ibis.literal(ERASED) + owners.address.hexdigest("sha256")
    back = owners.inner_join(digests, digest == digests.held)
    both = ibis.union(*(one.select("contact_id", "reason") for one in (found, back)))
    final = both.reason.max(where=both.reason.isin(sorted(FINAL)))
    return both.group_by("contact_id").agg(reason=final.coalesce(both.reason.max()))


def _reach(channel: str, warehouse: Any, clock: Clock) -> Any:
    """May each contact be spoken to? As engine.consent.Standing.reachable."""
    contacts, silent = warehouse.table("contacts"), _suppressed(channel, warehouse, clock)
    told = contacts.select(
        contact_id=contacts.id,
        allowed=contacts[ADDRESSES[channel]].notnull() & contacts[f"{channel}_consent"].fill_null(False),
    )
    joined = told.left_join(
        silent.rename(silent_id="contact_id"), told.contact_id == silent.rename(silent_id="contact_id").silent_id
    )
    return joined.select("contact_id", reachable=joined.allowed & joined.silent_id.isnull())


def _fields(channel: str, name: Words) -> tuple[Field, ...]:
    def row(key: str, kind: str, words: tuple[str, str], view: str, column: str, **more: Any) -> Field:
        label = Words(words[0].format(name.en), words[1].format(name.zh))
        return Field(
            f"{channel}_{key}", kind, "contact", label, lambda rows, _clock: rows[column], f"{channel}_{view}", **more
        )

    return (
        row(
            "reachable", "yes_no", ("reachability by {0}", "可通过{0}联系"), "reach", "reachable", empty=False,
            states=(Words(f"who cannot be reached by {name.en}", f"无法通过{name.zh}联系"),
                    Words(f"who can be reached by {name.en}", f"可通过{name.zh}联系")),
        ),
        row(
            "suppression", "choice", ("reason for silence by {0}", "{0}屏蔽原因"), "suppression", "reason", options=True
        ),
        row("consent_at", "moment", ("last word on {0}", "最近一次{0}许可表态"), "word", "at"),
        row("consent_origin", "choice", ("origin of the word on {0}", "{0}许可的来源"), "word", "origin", options=True),
        row("consent_evidence", "text", ("evidence of the word on {0}", "{0}许可的凭据"), "word", "evidence"),
        row(
            "confirmed", "yes_no", ("double opt-in for {0}", "{0}双重确认"), "word", "confirmed", empty=False,
            states=(Words(f"without double opt-in for {name.en}", f"未对{name.zh}作双重确认"),
                    Words(f"with double opt-in for {name.en}", f"已对{name.zh}作双重确认")),
        ),
    )  # fmt: skip
