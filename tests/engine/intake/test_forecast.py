"""What a dry run tells beforehand, and headers of other systems."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from engine import intake
from engine.config import Config
from engine.database import Database
from engine.intake import KINDS, Forecast
from engine.intake.headers import FOREIGN
from engine.intake.kinds import fold

HERE = (
    "key,email,first_name,city,income,attributes.size\nC1,ann@shop.example,Ann,Rye,100,4\nC2,bob@shop.example,Bob,,,\n"
)
NEWS = (
    "key,email,first_name,city,income,attributes.size\n"
    "C1,,Anna,Rye,250.5,5\nC2,,Bob,,,\nC3,ann@shop.example,Cy,,,\nC3,,Cyd,,,\n"
)


def test_a_dry_run_says_what_would_change(database: Database, config: Config, tmp_path: Path, now: datetime) -> None:
    """Fields before and after, keys twice in the file, addresses that somebody here has; and writes nothing."""
    path = tmp_path / "people.csv"
    path.write_text(HERE)
    intake.import_file(database, config, "contacts", path, now=now)
    path.write_text(NEWS)
    for _ in range(2):
        forecast = Forecast()
        run = intake.import_file(database, config, "contacts", path, now=now, dry_run=True, forecast=forecast)
        assert (run.created, run.updated, run.unchanged) == (1, 1, 2)
        assert (forecast.doubles, forecast.known) == (1, {"email": 1, "phone": 0})
        assert forecast.fields == {"first_name": 1, "income": 1, "attributes.size": 1}
        assert [(one["key"], one["field"], one["before"], one["after"]) for one in forecast.examples] == [
            ("C1", "attributes.size", "4", "5"),
            ("C1", "first_name", "Ann", "Anna"),
            ("C1", "income", "100", "250.5"),
        ]


def test_a_dry_run_says_which_names_are_gained(
    database: Database, config: Config, tmp_path: Path, now: datetime
) -> None:
    """Of who is here: a card of a customer, an address of somebody known by a card alone; not of who is new."""
    path = tmp_path / "people.csv"
    path.write_text("key,email\ncard:4711,\nC1,ann@shop.example\n")
    intake.import_file(database, config, "contacts", path, now=now)
    path.write_text("key,email,card\ncard:4711,bob@shop.example,\nC1,,77\nC2,cy@shop.example,78\n")
    for _ in range(2):
        forecast = Forecast()
        intake.import_file(database, config, "contacts", path, now=now, dry_run=True, forecast=forecast)
        told = {(one["key"], one["field"], one["before"], one["after"]) for one in forecast.examples}
        assert told == {("card:4711", "email", "", "bob@shop.example"), ("C1", "card", "", "77")}
        assert forecast.fields == {"email": 1, "card": 1}


@pytest.mark.parametrize(
    ("kind", "header", "column"),
    [
        ("contacts", "Accepts Email Marketing", "email_consent"),
        ("contacts", "Default Address Zip", "postcode"),
        ("contacts", "State/Region", "region"),
        ("contacts", "FNAME", "first_name"),
        ("contacts", "Prénom", "first_name"),
        ("contacts", "Kunden-Nr", "key"),
        ("contacts", "手机号", "phone"),
        ("orders", "Lineitem sku", "item"),
        ("items", "Variant Inventory Qty", "stock"),
    ],
)
def test_headers_of_other_systems(kind: str, header: str, column: str) -> None:
    """As they stand in exports."""
    found = KINDS[kind].find(header)
    assert found is not None
    assert found.name == column


def test_a_foreign_header_means_one_column() -> None:
    """Of each kind, and no column's own name or alias."""
    for kind, headers in FOREIGN.items():
        own = {fold(word) for column in KINDS[kind].columns for word in (column.name, *column.aliases)}
        words = [fold(word) for some in headers.values() for word in some]
        assert len(words) == len(set(words)), kind
        assert not own & set(words), (kind, own & set(words))
        assert headers.keys() <= {column.name for column in KINDS[kind].columns}
