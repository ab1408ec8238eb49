"""Campaigns from the command line: see, stop, and read what they earned."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

import click

from campaigns import planning, roi
from campaigns.models import Campaign
from engine.config import Config
from web.services import opened, utcnow


@click.group()
def campaign() -> None:
    """Campaigns: list, show, pause, resume, cancel, report."""


@campaign.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.pass_obj
def list_campaigns(config: Config, limit: int) -> None:
    """Campaigns, newest first."""
    with opened(config) as services, services.database.read() as session:
        for found in planning.all_campaigns(session, limit=limit):
            due = found.due_at.astimezone(config.locale.zone).strftime("%F %H:%M") if found.due_at else "-"
            click.echo(f"{found.id:>6}  {found.status:10} {found.channel:6} {due:17} {found.name}")


@campaign.command("show")
@click.argument("campaign_id", type=int)
@click.pass_obj
def show(config: Config, campaign_id: int) -> None:
    """One campaign and how far it is."""
    with opened(config) as services, services.database.read() as session:
        found = planning.get(session, campaign_id)
        progress = planning.progress(session, campaign_id)
    click.echo(f"{found.name}: {found.status}{f' ({found.paused_reason})' if found.paused_reason else ''}")
    for state, number in sorted(progress.items()):
        click.echo(f"{number:>9,}  {state}")


@campaign.command("report")
@click.argument("campaign_id", type=int)
@click.option("--json", "as_json", is_flag=True, help="All figures, for a program.")
@click.pass_obj
def report(config: Config, campaign_id: int, as_json: bool) -> None:
    """What a campaign earned."""
    with opened(config) as services, services.database.read() as session:
        found = roi.report(session, campaign_id, now=utcnow())
    if as_json:
        click.echo(json.dumps(asdict(found), default=str, indent=2))
        return
    click.echo(found.verdict.sentence)
    for words in found.warnings:
        click.echo(f"- {words}")
    click.echo(found.definition)


def _step(word: str, act: Callable[..., Campaign], words: str) -> None:
    @campaign.command(word, help=words)
    @click.argument("campaign_id", type=int)
    @click.pass_obj
    def step(config: Config, campaign_id: int) -> None:
        with opened(config) as services, services.database.begin() as session:
            found = act(session, campaign_id, now=utcnow())
        click.echo(f"{found.name} is {found.status}.")


_step("pause", planning.pause, "Send nothing more for the time being.")
_step("resume", planning.resume, "Go on sending.")
_step("cancel", planning.cancel, "Never send what has not been sent.")
