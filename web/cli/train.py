"""What recommendations are learned from, and which training serves."""

from __future__ import annotations

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.config import Config
from engine.errors import NotFound
from recommender import training
from recommender.evaluation import TASKS
from recommender.models import Training
from web.services import opened, utcnow


@click.command()
@click.option("--tune", is_flag=True, help="Choose settings and weights anew for this shop; takes minutes.")
@click.option("--spark", metavar="MASTER", help="Learn tastes and rules on Spark there (local[4], spark://host:7077).")
@click.option("--publish", type=int, metavar="ID", help="Let training ID serve (the way back, or past a refusal).")
@click.option("--list", "listing", is_flag=True, help="Show the newest trainings.")
@click.pass_obj
def train(config: Config, tune: bool, spark: str | None, publish: int | None, listing: bool) -> None:
    """Learn from orders and events; publish unless it would serve worse than what serves."""
    if publish is not None:
        _publish(config, publish)
    elif listing:
        _list(config)
    else:
        if spark and tune:
            raise click.UsageError("--tune chooses settings of what this machine learns: leave out --spark.")
        _train(config, tune=tune, spark=spark or "")


def _train(config: Config, *, tune: bool, spark: str) -> None:
    columns = TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with opened(config) as services, Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("")

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        made = training.train(
            services.database, services.warehouse, config, now=utcnow(), tune=tune, progress=advance, spark=spark
        )
        progress.update(task, completed=progress.tasks[task].total, description="")
    click.echo(_figures(made))
    if made.status == "refused":
        raise click.ClickException(
            f"Training {made.id} was not published: {made.error}. `rapport train --publish {made.id}` lets it serve."
        )
    click.echo(f"Training {made.id} serves.")


def _publish(config: Config, training_id: int) -> None:
    with opened(config) as services:
        with services.database.read() as session:
            found = session.get(Training, training_id)
            if found is None:
                raise NotFound(f"There is no training {training_id}; `rapport train --list` shows them.")
            if found.status in ("ready", "refused"):
                training.check(config, found)
        with services.database.begin() as session:
            training.publish(session, training_id, utcnow())
    click.echo(f"Training {training_id} serves.")


def _list(config: Config) -> None:
    with opened(config) as services, services.database.read() as session:
        serving = training.current(session)
        for row in training.trainings(session):
            mark = "*" if serving and row.id == serving.id else " "
            click.echo(f"{mark}{row.id:>5}  {row.started_at:%F %T}  {row.status:8} {row.error or _figures(row)}")


def _figures(row: Training) -> str:
    """nDCG@10 of each task beside best-sellers."""
    words = []
    for task in TASKS:
        scores = row.metrics.get(task) or {}
        if scores.get("training"):
            found, popular = scores["training"]["ndcg"], scores["popular"]["ndcg"]
            words.append(f"{task.replace('_', ' ')} nDCG@10 {found:.4f} (best-sellers {popular:.4f})")
    return ", ".join(words) or "too few orders to evaluate"
