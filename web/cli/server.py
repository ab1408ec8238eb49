"""The running program: web server and worker, together or apart."""

from __future__ import annotations

import atexit
import gc
import importlib
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import click
from granian import Granian
from granian.constants import Interfaces

from campaigns import scheduler
from campaigns.delivery import Sender
from engine.config import Config, Server
from engine.errors import ConfigError
from web import hooks, housekeeping, lifeline, log
from web.lifeline import PATIENCE
from web.services import Services, opened, opened_database, utcnow

DESCRIPTORS: Final = 65_536  # of files and connections


@click.command()
@click.pass_obj
def serve(config: Config) -> None:
    """Serve pages, API and public links (no campaign is sent without `rapport work`)."""
    _check(config)
    allow_descriptors()
    share_imports()
    server = config.server
    Granian(
        "web.wsgi:create",
        address=server.host,
        port=server.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=server.workers,
        blocking_threads=server.threads,
        websockets=False,
        workers_kill_timeout=int(PATIENCE) - 5,
        log_enabled=False,
    ).serve()


def share_imports() -> None:
    """Import what the workers use before they are forked, and keep the collector of garbage off it: 120 MB that each
    would have for itself.
    """
    importlib.import_module("web.wsgi")
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or libraries tell of leaks at the end


def allow_descriptors() -> None:
    """More connections at once, here and in what is started: the system gives 1,024 files to who does not ask."""
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    with suppress(ValueError, OSError):  # the system may know a lower limit of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(given, wanted), most))


@click.command()
@click.pass_obj
def work(config: Config) -> None:
    """Fire what is due and send it, until stopped."""
    log.configure(config.log)
    stop = _stop_by_signal()
    housekeeping.register()
    with opened(config) as services, _sender(services) as sender, ThreadPoolExecutor(1, "sender") as threads:
        sending = threads.submit(sender.run, stop)
        sending.add_done_callback(lambda _done: stop.set())  # a sender that falls takes the worker with it
        try:
            scheduler.run_ticker(services.database, services.warehouse, config, stop, clock=utcnow)
        finally:
            stop.set()
        sending.result()


@click.command()
@click.pass_obj
def tick(config: Config) -> None:
    """Do what is due now and end; for cron, instead of `rapport work`."""
    log.configure(config.log)
    housekeeping.register()
    with opened(config) as services, _sender(services) as sender:
        done = scheduler.tick(services.database, services.warehouse, config, now=utcnow(), sender=sender)
    sent = ", ".join(f"{count} {state}" for state, count in sorted(done.sent.items())) or "nothing to send"
    click.echo(f"Fired {len(done.fired)}, finished {len(done.finished)}, late {len(done.late)}; {sent}.")


@click.command()
@click.pass_context
def run(ctx: click.Context) -> None:
    """Serve and work: two processes; when one ends, so does the other."""
    run_with(ctx.obj, {})


def run_with(config: Config, beside: dict[str, list[str]]) -> None:
    """Serve and work, and run the commands `beside` along; when one ends, so do all."""
    _check(config)
    stop = _stop_by_signal()
    click.echo(f"Rapport is at http://{config.server.host}:{config.server.port} (Ctrl-C stops it)")
    ours = {word: [sys.executable, "-m", "web.cli", word] for word in ("serve", "work")}
    fallen = supervise(ours | beside, stop)
    if fallen:
        raise click.ClickException(f"`rapport {fallen}` ended by itself; see the log above.")


def supervise(commands: dict[str, list[str]], stop: threading.Event, *, patience: float = PATIENCE) -> str | None:
    """Run `commands` until `stop` is set or one ends; then end the others, in the end by force. Returns the word of
    the command that ended by itself: whoever started us decides whether to start again.
    """
    with lifeline.held() as (stdin, environment):
        processes = {
            word: subprocess.Popen(command, stdin=stdin, env=environment)  # noqa: S603  # ours
            for word, command in commands.items()
        }
        return _watch(processes, stop, patience)


def _watch(processes: dict[str, subprocess.Popen[bytes]], stop: threading.Event, patience: float) -> str | None:
    fallen: str | None = None
    while not stop.wait(0.1) and fallen is None:
        fallen = next((word for word, process in processes.items() if process.poll() is not None), None)
    end = time.monotonic() + patience
    for process in processes.values():
        process.terminate()
    for process in processes.values():
        try:
            process.wait(max(end - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return None if stop.is_set() else fallen


def _stop_by_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def _sender(services: Services) -> Sender:
    return Sender(services.database, services.config, scheduler.renderer(services.config, services.recommender))


def _check(config: Config) -> None:
    """Say at once, in words, what would otherwise fail in another process."""
    hooks.check(config)
    with opened_database(config):
        check_port(config.server)


def check_port(server: Server) -> None:
    """Raise ConfigError when the address cannot be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in server.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
        except OSError as error:
            raise ConfigError(
                f"{server.host}:{server.port} cannot be listened on ({error.strerror}): "
                f"stop what uses it or set server.port to another (RAPPORT_SERVER__PORT={server.port % 65_535 + 1}).",
                field="server.port",
            ) from error
