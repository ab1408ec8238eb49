"""Who joined which list lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from engine import criteria, lists
from engine.catalogue import open_catalogue
from engine.config import Config
from engine.database import Database
from engine.errors import Invalid
from engine.models import Contact, Event
from engine.warehouse import Warehouse

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def joined(*where: dict[str, Any], **more: Any) -> dict[str, Any]:
    """At least once."""
    asked = {"event": "list_join", "measure": "count", **more, "operator": "at_least", "value": 1}
    return asked | ({"where": list(where)} if where else {})


def on(number: int) -> dict[str, Any]:
    """Of this list."""
    return {"field": "list", "operator": "is", "value": number}


def test_joins_are_asked_by_list_and_time(database: Database, config: Config) -> None:
    """By number, shown by name; what somebody else wrote under that type is nobody's."""
    warehouse = Warehouse(database, config.folder / "warehouse", config)
    with database.begin() as session:
        for number in range(1, 6):
            session.add(Contact(id=number, key=f"c{number}", attributes={}, created_at=NOW, updated_at=NOW))
        first, second = (lists.save(session, None, name, {"all": []}, now=NOW).id for name in ("VIP", "New"))
        session.flush()
        tell(session, 1, first, 1)
        tell(session, 2, first, 20)
        tell(session, 3, second, 1)
        tell(session, 4, first, 1, own="theirs:")
        tell(session, 5, first, 1, kind="list_leave")
    warehouse.refresh()
    with database.read() as session:
        catalogue = open_catalogue(session, warehouse)

        def found(asked: dict[str, Any]) -> list[int]:
            people = criteria.select(criteria.parse(asked, catalogue), warehouse, NOW)
            return sorted(warehouse.execute(people)["contact_id"].to_pylist())

        assert found(joined()) == [1, 2, 3]
        assert found(joined(on(first))) == [1, 2]
        assert found(joined(on(first), within={"last_days": 7})) == [1]
        assert found(joined({"field": "properties.list_id", "operator": "is", "value": second})) == [3]
        said = criteria.sentence(criteria.parse(joined(on(first), within={"last_days": 7}), catalogue))
        assert said == "People who joined a list in the last 7 days where the list is “VIP”"
        offered = catalogue.options(catalogue.row_field(catalogue.behaviour("list_join"), "list"))
        assert {value for value, _ in offered} == {first, second}
        with pytest.raises(Invalid, match="There is no list 99"):
            criteria.parse(joined(on(99)), catalogue)


def tell(session: Session, who: int, list_id: int, days: int, own: str = "rapport:", kind: str = "list_join") -> None:
    """An event of moving."""
    told = {"list_id": list_id, "list": "as it was called"}
    at = NOW - timedelta(days=days)
    session.add(Event(key=f"{own}{who}", type=kind, contact_id=who, occurred_at=at, properties=told))
