"""Entry of a WSGI server: `granian --interface wsgi --factory web.wsgi:create`. Settings as for the command line."""

from __future__ import annotations

import threading
from contextlib import suppress

from apiflask import APIFlask
from sqlalchemy.exc import SQLAlchemyError

from engine import config as settings
from engine.catalogue import open_catalogue
from engine.errors import RapportError
from recommender.algebra import few_arenas
from web import lifeline, log
from web.app import create_app
from web.services import Services, open_services


def create() -> APIFlask:
    """The application of one server process."""
    lifeline.follow_parent()
    few_arenas()
    config = settings.load()
    log.configure(config.log)
    services = open_services(config)
    threading.Thread(target=warm, args=[services], name="warm-up", daemon=True).start()
    return create_app(services)


def warm(services: Services) -> None:
    """Open the warehouse and look through the shop's own names before the first page asks: both take seconds at twenty
    million events. What fails here fails again, and is told, where it is asked for.
    """
    with suppress(RapportError, SQLAlchemyError), services.database.read() as session:
        services.warehouse.refresh()
        catalogue = open_catalogue(session, services.warehouse)
        for kind in ("attributes", "events"):
            catalogue.own(kind)
