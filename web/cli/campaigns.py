"""Campaigns from the command line: write, schedule, stop, and read what they earned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
from sqlalchemy.orm import Session

from campaigns import planning, roi
from campaigns.estimates import estimate as estimated
from campaigns.models import Campaign
from engine import money
from engine.config import Config
from engine.models import CHANNELS
from web import campaigns as seen
from web.cli.given import as_json, document, show
from web.services import opened, utcnow

Command = Callable[..., None]

OWN: Final = ("id", "status", "version", "paused_reason")  # of a campaign that is there, beside what its plan says
OPTIONS: Final[tuple[tuple[str, str, Any, str], ...]] = (  # option, field of the plan, kind, help
    ("--name", "name", str, "What it is called."),
    ("--channel", "channel", click.Choice(CHANNELS), "How it is sent; email unless said otherwise."),
    ("--list", "list_id", int, "Number of the list it goes to."),
    ("--subject", "subject", str, "Of an e-mail; Liquid."),
    ("--preheader", "preheader", str, "Of an e-mail: shown behind the subject in the inbox."),
    ("--text", "text", str, "Of an SMS, or of an e-mail that is one block of text; Liquid."),
    ("--holdout", "holdout", float, "Share kept silent to measure what it causes, like 0.1."),
    ("--window-days", "window_days", int, "Orders so long after the send count."),
    ("--fixed-cost", "fixed_cost", str, "In units of the currency, like 150."),
    ("--message-cost", "message_cost", str, "For each message, like 0.004."),
    ("--currency", "currency", str, "Like GBP."),
)


@click.group()
def campaign() -> None:
    """Campaigns: write, estimate, schedule, stop, report."""


@campaign.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@as_json
@click.pass_obj
def list_campaigns(config: Config, limit: int, *, as_json: bool) -> None:
    """Campaigns, newest first."""
    with opened(config) as services, services.database.read() as session:
        found = planning.all_campaigns(session, limit=limit)
        if as_json:
            show(seen.shown(session, found))
            return
    for one in found:
        due = one.due_at.astimezone(config.locale.zone).strftime("%F %H:%M") if one.due_at else "-"
        click.echo(f"{one.id:>6}  {one.status:10} {one.channel:6} {due:17} {one.name}")


@campaign.command("show")
@click.argument("campaign_id", type=int)
@as_json
@click.pass_obj
def show_campaign(config: Config, campaign_id: int, *, as_json: bool) -> None:
    """One campaign and how far it is; its JSON can be changed and given to `edit`."""
    with opened(config) as services, services.database.read() as session:
        found = planning.get(session, campaign_id)
        progress = planning.progress(session, campaign_id)
        if as_json:
            show(seen.shown(session, [found])[0])
            return
    click.echo(f"{found.name}: {found.status}{f' ({found.paused_reason})' if found.paused_reason else ''}")
    for state, number in sorted(progress.items()):
        click.echo(f"{number:>9,}  {state}")


def _planned(command: Command) -> Command:
    """The options that make a plan."""
    for option, name, kind, words in reversed(OPTIONS):
        command = click.option(option, name, type=kind, help=words)(command)
    command = click.option("--file", metavar="FILE", help="The plan as JSON or TOML; - is standard input.")(command)
    return as_json(command)


@campaign.command("create")
@_planned
@click.pass_obj
def create(config: Config, /, file: str | None, *, as_json: bool, **given: Any) -> None:
    """Write a draft, from options, from a FILE, or from both: options go before the file."""
    plan, _version = _plan(file, given)
    with opened(config) as services, services.database.begin() as session:
        found = planning.create(session, _with_body(plan, plan.get("channel")), now=utcnow(), config=config)
        _tell(session, config, found, as_json=as_json)


@campaign.command("edit")
@click.argument("campaign_id", type=int)
@click.option("--version", type=int, help="Refuse when it was changed since this version was read.")
@_planned
@click.pass_obj
def edit(
    config: Config, /, campaign_id: int, version: int | None, file: str | None, *, as_json: bool, **given: Any
) -> None:
    """Change a draft: what is given, the rest stays."""
    plan, read = _plan(file, given)
    with opened(config) as services, services.database.begin() as session:
        found = planning.get(session, campaign_id)
        meant = version or read or found.version
        plan = _with_body(plan, plan.get("channel", found.channel))
        _tell(session, config, planning.edit(session, campaign_id, plan, version=meant, now=utcnow()), as_json=as_json)


@campaign.command("estimate")
@click.argument("campaign_id", type=int)
@as_json
@click.pass_obj
def estimate(config: Config, campaign_id: int, *, as_json: bool) -> None:
    """How many it will reach, and what it will cost."""
    with opened(config) as services, services.database.read() as session:
        services.warehouse.refresh()
        found = estimated(session, services.warehouse, campaign_id, now=utcnow())
    if as_json:
        show(seen.estimate(found))
        return
    click.echo(f"{found.matched:>9,}  on the list")
    for reason, number in found.excluded.items():
        click.echo(f"{number:>9,}  left out: {reason}")
    click.echo(
        f"{found.held:>9,}  held out\n{found.sent:>9,}  to be sent for {money.to_decimal(found.cost)} {found.currency}"
    )


@campaign.command("schedule")
@click.argument("campaign_id", type=int)
@click.option("--at", metavar="TIME", help="Like 2026-03-29T09:00, in the shop's time zone; without it: now.")
@click.option("--version", type=int, help="Refuse when it was changed since this version was read.")
@as_json
@click.pass_obj
def schedule(config: Config, campaign_id: int, at: str | None, version: int | None, *, as_json: bool) -> None:
    """Check a draft and send it, now or at a time (`rapport run`, `work` or `tick` does the sending)."""
    now = utcnow()
    moment = None if at is None else planning.wall_time(at, config.locale.zone)
    with opened(config) as services:
        services.warehouse.refresh()
        with services.database.read() as session:
            ready = planning.check(session, services.warehouse, campaign_id, version=version, now=now, config=config)
        with services.database.begin() as session:
            _tell(session, config, planning.schedule(session, ready, at=moment, now=now), as_json=as_json)


@campaign.command("report")
@click.argument("campaign_id", type=int)
@as_json
@click.pass_obj
def report(config: Config, campaign_id: int, *, as_json: bool) -> None:
    """What a campaign earned."""
    with opened(config) as services, services.database.read() as session:
        found = roi.report(session, campaign_id, now=utcnow())
    if as_json:
        show(seen.report(found))
        return
    click.echo(found.verdict.sentence)
    for words in found.warnings:
        click.echo(f"- {words}")
    click.echo(found.definition)


def _step(word: str, words: str) -> None:
    @campaign.command(word.replace("_", "-"), help=f"{words}.")
    @click.argument("campaign_id", type=int)
    @as_json
    @click.pass_obj
    def step(config: Config, campaign_id: int, *, as_json: bool) -> None:
        with opened(config) as services, services.database.begin() as session:
            _tell(session, config, seen.take(session, word, campaign_id, now=utcnow()), as_json=as_json)


for _word, _found in seen.STEPS.items():
    _step(_word, _found.words)


@campaign.command("costs")
@click.argument("campaign_id", type=int)
@click.option("--fixed-cost", help="In units of the currency, like 150.")
@click.option("--message-cost", help="For each message, like 0.004.")
@click.option("--version", type=int, help="Refuse when it was changed since this version was read.")
@as_json
@click.pass_obj
def costs(config: Config, /, campaign_id: int, version: int | None, *, as_json: bool, **given: str | None) -> None:
    """Say what it cost, at any time, after the sending too; what is left out stays."""
    said = {name: value for name, value in given.items() if value is not None}
    with opened(config) as services, services.database.begin() as session:
        found = planning.record_costs(session, campaign_id, said, version=version, now=utcnow())
        _tell(session, config, found, as_json=as_json)


@campaign.command("copy")
@click.argument("campaign_id", type=int)
@click.option("--name", help="What the copy is called; without it: Copy of, and the other's name.")
@as_json
@click.pass_obj
def copy(config: Config, campaign_id: int, name: str | None, *, as_json: bool) -> None:
    """Write a new draft that says the same to the same list, with its own draw and no time yet."""
    with opened(config) as services, services.database.begin() as session:
        made = planning.copy(session, campaign_id, name=name, now=utcnow(), config=config)
        _tell(session, config, made, as_json=as_json)


@campaign.command("delete")
@click.argument("campaign_id", type=int)
@click.pass_obj
def delete(config: Config, campaign_id: int) -> None:
    """Put away a campaign that neither waits nor runs; `restore` brings it back within 30 days."""
    with opened(config) as services, services.database.begin() as session:
        planning.delete(session, campaign_id, now=utcnow())
    click.echo(
        f"Campaign {campaign_id} is put away; `rapport campaign restore {campaign_id}` brings it back within 30 days."
    )


@campaign.command("restore")
@click.argument("campaign_id", type=int)
@as_json
@click.pass_obj
def restore(config: Config, campaign_id: int, *, as_json: bool) -> None:
    """Bring a deleted campaign back."""
    with opened(config) as services, services.database.begin() as session:
        _tell(session, config, planning.undo_delete(session, campaign_id, now=utcnow()), as_json=as_json)


def _plan(file: str | None, given: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The plan, and the version of the campaign it was read from if it says one."""
    read = document(file) if file else {}
    said = {name: value for name, value in given.items() if value is not None}
    plan = {name: value for name, value in read.items() if name not in (*OWN, "progress")}
    return plan | said, read.get("version")


def _with_body(plan: dict[str, Any], channel: str | None) -> dict[str, Any]:
    """The plan; text for an e-mail without blocks is its only block."""
    if channel == "sms" or not plan.get("text") or plan.get("blocks"):
        return plan
    return {**plan, "blocks": [{"type": "text", "text": plan["text"]}], "text": ""}


def _tell(session: Session, config: Config, found: Campaign, *, as_json: bool) -> None:
    """What has become of a campaign."""
    if as_json:
        show(seen.shown(session, [found])[0])
        return
    due = found.due_at if found.status == "scheduled" else None
    when = f" for {due.astimezone(config.locale.zone):%F %H:%M} {config.locale.timezone}" if due else ""
    click.echo(f"Campaign {found.id}, {found.name}, is {found.status}{when}.")
