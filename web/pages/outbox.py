"""The outbox: messages the built-in transport kept here instead of letting them leave the machine."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import or_, select

from campaigns.models import Campaign, OutboxMessage, Send
from engine.errors import NotFound
from web.security import foreign
from web.services import services

blueprint = Blueprint("outbox", __name__, url_prefix="/outbox")

PAGE: Final = 50


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Newest first, fifty at a time; `q` finds recipients and subjects."""
    words, before = request.args.get("q", "").strip()[:200], request.args.get("before", type=int)
    statement = select(OutboxMessage).order_by(OutboxMessage.id.desc()).limit(PAGE + 1)
    if words:
        columns = (OutboxMessage.recipient, OutboxMessage.subject)
        statement = statement.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    if before:
        statement = statement.where(OutboxMessage.id < before)
    with services().database.read() as session:
        found = session.scalars(statement).all()
        return render_template(
            "outbox/index.html",
            messages=found[:PAGE],
            words=words,
            config=services().config,
            next=url_for(".index", q=words, before=found[PAGE - 1].id) if len(found) > PAGE else None,
            first=url_for(".index", q=words) if before else None,
        )


@blueprint.get("/<int:message_id>")
def show(message_id: int) -> ResponseReturnValue:
    """One message as its reader sees it, with its headers."""
    with services().database.read() as session:
        message = session.get(OutboxMessage, message_id)
        if message is None:
            raise NotFound("There is no such message in the outbox.")
        of_send = select(Campaign).join(Send, Send.campaign_id == Campaign.id).where(Send.id == message.send_id)
        return render_template("outbox/show.html", message=message, campaign=session.scalar(of_send))


@blueprint.get("/<int:message_id>/html")
def html(message_id: int) -> ResponseReturnValue:
    """The HTML part alone, locked into a sandbox."""
    with services().database.read() as session:
        message = session.get(OutboxMessage, message_id)
        if message is None or message.html is None:
            raise NotFound("There is no such message in the outbox.")
        return foreign(message.html)
