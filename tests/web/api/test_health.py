"""What operators ask."""

from __future__ import annotations

from flask.testing import FlaskClient
from sqlalchemy import text

from web.api import access
from web.services import Services, utcnow

FAR = {"REMOTE_ADDR": "192.0.2.9"}


def test_alive_and_ready(client: FlaskClient, services: Services) -> None:
    """Ready needs tables of this version, alive needs nothing."""
    assert client.get("/health").get_json() == {"status": "alive"}
    assert client.get("/ready").status_code == 200
    with services.database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    answer = client.get("/ready")
    with services.database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert (answer.status_code, "rapport migrate" in answer.text) == (503, True)
    assert client.get("/health").status_code == 200


def test_figures_need_this_machine_or_a_key(client: FlaskClient, services: Services) -> None:
    """From elsewhere only with the scope."""
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", environ_base=FAR).status_code == 403
    for scope, status in (("events:write", 403), ("metrics:read", 200)):
        with services.database.begin() as session:
            key = access.add_key(session, "Prometheus", [scope], now=utcnow())
        headers = {"Authorization": f"Bearer {key}"}
        assert client.get("/metrics", environ_base=FAR, headers=headers).status_code == status
