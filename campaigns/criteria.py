"""What criteria may ask of messages: who got one, was held out, opened, clicked, and how many came lately.

Messages that went out and people held out are rows of the ledger; what came back are Rapport's own events (OWN_KEYS),
for whoever may write events could invent clicks. A fetch by a program is nobody's open or click.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Variant
from engine import fields
from engine.criteria.rows import register_rows, with_items
from engine.dialect import json_text
from engine.fields import Behaviour, Field
from engine.models import OWN_KEYS
from engine.values import Clock, Words

CAMPAIGN: Final = Words("campaign", "营销活动")
CHANNEL: Final = Words("channel", "渠道")
LEDGER: Final = {  # state and moment; when a carrier delivered is not kept
    "sent": ("accepted", "accepted_at"),
    "delivered": ("accepted", "accepted_at"),
    "held_out": ("held", "created_at"),
}
SEEN: Final = ("delivered", "unsubscribed", "complained")  # outcomes of what has arrived, as campaigns.roi counts them
DAYS: Final = (7, 30)  # of contact pressure


def register() -> None:
    """Let criteria know all of this."""
    register_rows("sends", _sends, _by_key(_SEND_FIELDS), "Of `sent`, `delivered` and `held_out`")
    answers = {**fields.ROW_FIELDS["events"], **_by_key(_ANSWER_FIELDS)}
    title = "Of `open`, `click`, `bounce`, `complaint` and `unsubscribe`, and `properties.<name>`"
    register_rows("answers", _answers, answers, title, properties=True)
    for behaviour in _BEHAVIOURS:
        fields.register_behaviour(behaviour)
    fields.register_group("messages", Words("Messages", "消息"))
    for name, view in {"answers": _all_answers, "pressure": _pressure, "silence": _silence}.items():
        fields.register_view(name, view)
    for row in _CONTACT_FIELDS:
        fields.register(row)


def campaign_names(session: Session) -> Mapping[int, str]:
    """What campaigns are called, deleted ones too: lists may name them."""
    return dict(session.execute(select(Campaign.id, Campaign.name)).all())


def variant_names(session: Session) -> Mapping[int, str]:
    """What variants are called, with their campaign."""
    query = select(Variant.id, Campaign.name, Variant.name).join(Campaign, Campaign.id == Variant.campaign_id)
    return {number: f"{campaign}: {name}" for number, campaign, name in session.execute(query)}


def _sends(warehouse: Any, kind: str, _tables: set[str]) -> Any:
    """Messages that were accepted, those of them that arrived as far as is known, or people held out."""
    state, moment = LEDGER[kind]
    sends = warehouse.table("sends")
    if kind == "delivered":
        sends = sends.filter(sends.outcome.isin(SEEN).fill_null(False) | sends.opened_at.notnull())
    return sends.filter(sends.state == state).select(
        *("id", "contact_id", "campaign_id", "variant_id", "channel", "outcome", "opened_at", "clicked_at"),
        at=sends[moment],
    )


def _answers(warehouse: Any, kind: str, tables: set[str]) -> Any:
    """What came back of one kind."""
    rows = _all_answers(warehouse, None)
    return with_items(rows.filter(rows.type == kind), warehouse, tables)


def _all_answers(warehouse: Any, _clock: Clock | None) -> Any:
    events = warehouse.table("events")
    by_machine = (json_text(events.properties, "machine") == "true").fill_null(False)
    mine = events.filter(events.type.isin(list(_ANSWERS)), events.key.startswith(OWN_KEYS), ~by_machine)
    return mine.select(
        *("id", "contact_id", "type", "item_id", "value", "origin", "properties"),
        at=mine.occurred_at,
        campaign_id=json_text(mine.properties, "campaign_id").try_cast("int64"),
        channel=json_text(mine.properties, "channel"),
        link=json_text(mine.properties, "link"),
    )


def _pressure(warehouse: Any, clock: Clock) -> Any:
    """How many messages came lately, and when the last one."""
    rows = _sends(warehouse, "sent", set())
    counts = {
        f"messages_last_{days}_days": rows.count(
            where=(rows.at >= clock.shift(clock.now, -days)) & (rows.at < clock.now)
        )
        for days in DAYS
    }
    return rows.group_by("contact_id").agg(last_message_at=rows.at.max(), **counts)


def _silence(warehouse: Any, _clock: Clock) -> Any:
    """Messages since the last one that was opened, and clicked."""
    rows = _sends(warehouse, "sent", set())
    last = rows.group_by("contact_id").agg(
        opened=rows.at.max(where=rows.opened_at.notnull()), clicked=rows.at.max(where=rows.clicked_at.notnull())
    )
    rows = rows.select("contact_id", "at").join(last, "contact_id")
    return rows.group_by("contact_id").agg(
        messages_unopened=rows.count(where=rows.opened.isnull() | (rows.at > rows.opened)),
        messages_unclicked=rows.count(where=rows.clicked.isnull() | (rows.at > rows.clicked)),
    )


def _by_key(rows: Iterable[Field]) -> Mapping[str, Field]:
    return {row.key: row for row in rows}


def _row(key: str, kind: str, label: Words, table: str, **more: Any) -> Field:
    column = more.pop("column", key)
    return Field(key, kind, "event", label, lambda rows, _clock: rows[column], table, **more)


def _happened(key: str, moment: str, label: Words) -> Field:
    return Field(key, "yes_no", "event", label, lambda rows, _clock: rows[moment].notnull(), "sends")


_SEND_FIELDS: Final = (
    _row("campaign", "reference", CAMPAIGN, "sends", column="campaign_id", options=True, names=campaign_names),
    _row("channel", "choice", CHANNEL, "sends", options=True),
    _row("variant", "reference", Words("variant", "版本"), "sends", column="variant_id", options=True,
         names=variant_names),
    _happened("opened", "opened_at", Words("mark “opened”", "“已打开”标记")),
    _happened("clicked", "clicked_at", Words("mark “clicked”", "“已点击”标记")),
    _row("outcome", "choice", Words("outcome", "结果"), "sends", options=True),
)  # fmt: skip
_ANSWER_FIELDS: Final = (
    _row("campaign", "reference", CAMPAIGN, "answers", column="campaign_id", options=True, names=campaign_names),
    _row("channel", "choice", CHANNEL, "answers", options=True),
    _row("link", "choice", Words("link", "链接"), "answers", options=True),
)


def _behaviour(key: str, verb: Words, contrary: str, noun: Words) -> Behaviour:
    return Behaviour(key, verb, Words(contrary, f"没有{verb.zh}"), noun, "sends" if key in LEDGER else "answers")


_BEHAVIOURS: Final = (
    _behaviour("sent", Words("got a message", "收到消息"), "got no message", Words("messages", "消息")),
    _behaviour("delivered", Words("had a message delivered", "消息送达"), "had no message delivered",
               Words("deliveries", "送达")),
    _behaviour("held_out", Words("were held out of a campaign", "被留作对照"), "were not held out of a campaign",
               Words("holdouts", "对照")),
    _behaviour("open", Words("opened a message", "打开消息"), "did not open a message", Words("opens", "打开")),
    _behaviour("click", Words("clicked in a message", "点击消息"), "did not click in a message",
               Words("clicks", "点击")),
    _behaviour("bounce", Words("had a message bounce", "消息退回"), "had no message bounce",
               Words("bounces", "退信")),
    _behaviour("complaint", Words("complained of a message", "投诉消息"), "did not complain of a message",
               Words("complaints", "投诉")),
    _behaviour("unsubscribe", Words("unsubscribed", "退订"), "did not unsubscribe", Words("unsubscribes", "退订")),
)  # fmt: skip
_ANSWERS: Final = tuple(row.key for row in _BEHAVIOURS if row.rows == "answers")


def _contact(key: str, kind: str, label: Words, table: str, said: Words | None = None, **more: Any) -> Field:
    return Field(key, kind, "messages", label, lambda rows, _clock: rows[key], table, said=said, **more)


def _lately(days: int) -> Field:
    label = Words(f"number of messages in the last {days} days", f"最近{days}天的消息数")
    said = Words(f"who got {{0}} messages in the last {days} days", f"最近{days}天收到{{0}}条消息")
    return _contact(f"messages_last_{days}_days", "number", label, "pressure", said, empty=0)


_CONTACT_FIELDS: Final = (
    *map(_lately, DAYS),
    _contact("last_message_at", "moment", Words("last message", "最近一条消息"), "pressure"),
    _contact("messages_unopened", "number", Words("number of messages since the last open", "上次打开以来的消息数"),
             "silence", Words("who left {0} messages in a row unopened", "连续{0}条消息未打开"), empty=0),
    _contact("messages_unclicked", "number", Words("number of messages since the last click", "上次点击以来的消息数"),
             "silence", Words("who left {0} messages in a row without a click", "连续{0}条消息未点击"), empty=0),
)  # fmt: skip
