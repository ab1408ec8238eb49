"""Entry of a WSGI server: `granian --interface wsgi --factory web.wsgi:create`. Settings as for the command line."""

from __future__ import annotations

from apiflask import APIFlask

from engine import config as settings
from web import lifeline, log
from web.app import create_app
from web.services import open_services


def create() -> APIFlask:
    """The application of one server process."""
    lifeline.follow_parent()
    config = settings.load()
    log.configure(config.log)
    return create_app(open_services(config))
