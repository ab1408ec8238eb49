"""What a server process does by itself when it starts."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pytest

from engine import catalogue
from engine.errors import Unavailable
from engine.models import Contact, Event
from tests.engine.copies import add
from web import wsgi
from web.services import Services


def test_the_first_page_finds_everything_looked_through(
    services: Services, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """The warehouse stands and the shop's own names are known: nothing is read for whoever asks for them."""
    with services.database.begin() as session:
        someone = add(session, Contact, now, key="c1", attributes={"size": 40})
        add(session, Event, now, key="e1", type="quiz", contact_id=someone)
    wsgi.warm(services)
    monkeypatch.setattr(catalogue, "_read", lambda *_: pytest.fail("read again"))
    with services.database.read() as session:
        names = catalogue.open_catalogue(session, services.warehouse)
        assert (names.own("attributes"), names.own("events")) == ({"attributes.size": "number"}, {"quiz": 1})


def test_a_warehouse_that_cannot_be_opened_does_not_stop_the_start(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told where it is asked for."""

    def fail() -> None:
        raise Unavailable("The disk is full.")

    monkeypatch.setattr(services.warehouse, "refresh", fail)
    wsgi.warm(services)


def test_what_no_request_needs_is_not_imported() -> None:
    """Each of these takes 14 to 38 MB in every process; who trains or makes a demo imports them then."""
    heavy = {"pandas", "scipy.optimize", "scipy.stats", "mlxtend"}
    told = f"import sys, web.wsgi; print(*sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []
