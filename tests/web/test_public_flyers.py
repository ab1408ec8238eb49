"""Printed codes: followed, typed, closed, and who they brought."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from unittest.mock import ANY, patch
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from engine import identity, intake
from engine.errors import Conflict, Invalid
from engine.models import Contact, Event, Flyer
from engine.sources import figures, flyers, forms
from tests.web.test_public_forms import ANN, DEFINITION, stamp
from web import public_flyers, public_forms
from web.app import create_app
from web.services import Services, utcnow

PERSON = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"}


@pytest.fixture
def flyer(services: Services) -> Flyer:
    """A leaflet of the market."""
    with services.database.begin() as session:
        return flyers.make(session, "York market", "https://shop.example/bread?a=1#top", "york", now=utcnow())


def scans(services: Services) -> list[Event]:
    """Noted scans."""
    with services.database.read() as session:
        return list(session.scalars(select(Event).where(Event.type == "flyer_scan").order_by(Event.id)))


def test_a_scan(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """Leads to the stored target with where the reader comes from, and is noted for the browser, which gets a name that
    no script can read.
    """
    answer = client.get("/q/YORK?to=https://evil.example", headers=PERSON)
    assert answer.status_code == 302
    target = urlsplit(answer.location)
    assert (target.netloc, target.path, target.fragment) == ("shop.example", "/bread", "top")
    cookie = client.get_cookie("visitor")
    assert cookie is not None
    assert parse_qs(target.query) == {"a": ["1"], "utm_source": ["flyer"], "utm_medium": ["print"],
                                      "utm_campaign": ["YORK"], "rapport_visitor": [ANY]}  # fmt: skip
    assert cookie.value not in target.query
    assert (cookie.http_only, cookie.same_site, len(cookie.value) >= 20) == (True, "Lax", True)
    client.get("/q/york", headers=PERSON)
    first, second = scans(services)
    assert first.visitor == second.visitor == cookie.value
    assert first.properties == {"code": "YORK", "flyer": "York market"}
    assert answer.headers["Cache-Control"] == "no-store"


def test_programs_and_those_who_do_not_want_it(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """A preview is led on and not counted; a browser that asks not to be followed is counted and gets no name."""
    preview, nothing = {"User-Agent": "WhatsApp link preview bot"}, {"User-Agent": ""}
    for headers in (preview, nothing, PERSON | {"Sec-Purpose": "prefetch"}):
        assert client.get("/q/york", headers=headers).status_code == 302
    assert client.head("/q/york", headers=PERSON).status_code == 302
    assert scans(services) == []
    answer = client.get("/q/york", headers=PERSON | {"Sec-GPC": "1"})
    assert "Set-Cookie" not in answer.headers
    assert "rapport_visitor" not in answer.location
    assert len(scans(services)) == 1


def test_a_planted_name_is_not_kept(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """What is no name of ours is replaced."""
    for planted in ("x", "<b>" * 8, "a" * 65):
        client.set_cookie("visitor", planted)
        client.get("/q/york", headers=PERSON)
    assert not {scan.visitor for scan in scans(services)} & {"x", "<b>" * 8, "a" * 65}


def test_typed_unknown_closed(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """A page to type a code, forgiving about how; friendly about those that lead nowhere."""
    assert "printed on the flyer" in client.get("/q").text
    assert client.get("/q?code=+york+").location == "/q/YORK"
    unknown = client.get("/q/<script>x")
    assert (unknown.status_code, "&lt;SCRIPT&gt;X" in unknown.text, "<script>x" in unknown.text) == (404, True, False)
    with services.database.begin() as session:
        flyers.close(session, flyer.id, now=utcnow())
    closed = client.get("/q/york", headers=PERSON)
    assert (closed.status_code, "is over" in closed.text) == (410, True)
    assert "已结束" in client.get("/q/york", headers={"Accept-Language": "zh"}).text
    assert scans(services) == []
    assert client.get("/q/" + "%00").status_code == 404
    assert client.get("/q/" + "a" * 5000).status_code == 404


def test_many_scans_lead_on(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """Beyond what is noted of one address, and when nothing can be noted at all."""
    with patch.object(public_flyers, "MOST", 2):
        for _ in range(4):
            assert client.get("/q/york", headers=PERSON).status_code == 302
    assert len(scans(services)) == 2
    with patch.object(flyers, "scan", side_effect=RuntimeError):
        assert client.get("/q/york", headers=PERSON).status_code == 302


def test_the_people_it_brought(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """Who scanned and then filled in a form came by the flyer; the scan becomes theirs."""
    client.get("/q/york", headers=PERSON)
    with services.database.begin() as session:
        form = forms.save(session, None, "News", "web", DEFINITION, now=utcnow())
    with patch.object(public_forms, "SOONEST", -5):
        client.post(f"/f/{form.key}", data=ANN | {"stamp": stamp(client, form)})
    with services.database.read() as session:
        ann = session.scalars(select(Contact)).one()
        assert ann.origin == "flyer"
        assert identity.contact_of_visitor(session, scans(services)[0].visitor or "") == ann.id
    create_app(services).test_client().get("/q/york", headers=PERSON)  # a stranger
    services.warehouse.refresh()
    told = figures.of_flyers(services.warehouse, utcnow())
    assert told == {"YORK": figures.Told(events=2, lately=2, strangers=1, people=1)}
    brought = figures.origins(services.warehouse, utcnow())
    assert brought == {"flyer": figures.Brought(1, 1)}
    assert figures.of_forms(services.warehouse, utcnow())[form.key].people == 1
    (answer,) = figures.answers(services.warehouse, form.key)
    assert (answer["contact_id"], answer["answers"]["first_name"]) == (ann.id, "Ann")


def test_a_known_browser(client: FlaskClient, services: Services, flyer: Flyer) -> None:
    """Of somebody we know the scan is theirs at once."""
    client.set_cookie("visitor", "v" * 20)
    record = {"type": "identify", "at": "2026-01-01T00:00:00Z", "contact": "C-1", "visitor": "v" * 20}
    with services.database.begin() as session:
        intake.accept(session, "events", [record], now=utcnow(), config=services.config)
    client.get("/q/york", headers=PERSON)
    assert scans(services)[0].contact_id is not None


@pytest.mark.parametrize("target", ["", "http://shop.example", "javascript:alert(1)", "//shop.example", "https://",
                                    "https://a b", "https://shop.example\\@evil.example", "https://x/" + "y" * 1100,
                                    "https://ex\u0430mple.example"])  # fmt: skip
def test_targets(services: Services, target: str) -> None:
    """https, absolute, plain."""
    with services.database.begin() as session, pytest.raises(Invalid) as fault:
        flyers.make(session, "A", target, now=utcnow())
    assert fault.value.field == "target"


def test_codes(services: Services, flyer: Flyer) -> None:
    """Short, plain, each once; made up where none is given."""
    with services.database.begin() as session:
        for code in ("x", "-abc", "a" * 33, "ab/c", "ä-b"):
            with pytest.raises(Invalid):
                flyers.make(session, "A", "https://shop.example", code, now=utcnow())
        with pytest.raises(Conflict):
            flyers.make(session, "A", "https://shop.example", "York", now=utcnow())
        made = flyers.make(session, "A", "https://shop.example", now=utcnow())
        assert flyers.CODE.fullmatch(made.code)
        assert flyers.find(session, made.code.lower()) is made


def test_pictures() -> None:
    """SVG that is XML without script, PNG."""
    root = ET.fromstring(flyers.svg("https://rapport.example/q/YORK"))
    assert root.tag.endswith("svg")
    assert flyers.png("https://rapport.example/q/YORK").startswith(b"\x89PNG")


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=4), st.text(max_size=10))
def test_a_target_keeps_what_it_says(query: dict[str, str], anchor: str) -> None:
    """Whatever stands in the address is there afterwards, and ours with it."""
    flyer = Flyer(code="YORK", name="x", target=f"https://shop.example/a?{urlencode(query)}#{quote(anchor)}")
    parts = urlsplit(flyers.destination(flyer, "v"))
    assert dict(parse_qsl(parts.query, keep_blank_values=True)).items() >= query.items() - {("rapport_visitor", "")}
    assert parts.fragment == quote(anchor)


def test_over_tls_the_name_is_bound_to_this_host(services: Services, flyer: Flyer) -> None:
    """__Host-, secure."""
    server = replace(services.config.server, public_url="https://rapport.example")
    client = create_app(replace(services, config=replace(services.config, server=server))).test_client()
    cookie = client.get("/q/york", headers=PERSON).headers["Set-Cookie"]
    assert cookie.startswith("__Host-visitor=")
    assert "Secure" in cookie
