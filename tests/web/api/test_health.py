"""What operators ask."""

from __future__ import annotations

from flask.testing import FlaskClient
from sqlalchemy import text

from web.api import access
from web.services import Services, utcnow


def test_alive_and_ready(client: FlaskClient, services: Services) -> None:
    """Ready needs tables of this version, alive needs nothing."""
    assert client.get("/health").get_json() == {"status": "alive"}
    assert client.get("/ready").status_code == 200
    with services.database.begin() as session:
        version = session.scalar(text("DELETE FROM alembic_version RETURNING version_num"))
    answer = client.get("/ready")
    with services.database.begin() as session:
        session.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": version})
    assert (answer.status_code, "rapport migrate" in answer.text) == (503, True)
    assert client.get("/health").status_code == 200


def test_figures_need_a_key(client: FlaskClient, services: Services) -> None:
    """With the scope, from this machine too: behind a proxy everybody comes from there."""
    for place in ("127.0.0.1", "::1", "192.0.2.9"):
        assert client.get("/metrics", environ_base={"REMOTE_ADDR": place}).status_code == 401
    for scope, status in (("events:write", 403), ("metrics:read", 200)):
        with services.database.begin() as session:
            key = access.add_key(session, "Prometheus", [scope], now=utcnow())
        assert client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == status
