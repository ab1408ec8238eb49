"""A trained shop, fitted once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.config import Config
from engine.database import Database
from engine.warehouse import Warehouse
from recommender import fitted, training
from recommender.models import Training
from recommender.serving import Recommender
from recommender.sources.base import Settings
from tests.recommender.shop import NOW, checkerboard, colours


@pytest.fixture(scope="session")
def checkerboard_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a training on the checkerboard."""
    folder = tmp_path_factory.mktemp("trainings") / "1"
    fitted.save(fitted.fit(colours(), Settings(), seed=1), folder)
    return folder


@pytest.fixture
def shop(database: Database, config: Config, checkerboard_files: Path) -> None:
    """The checkerboard in the database, and a training on it published: contact c lacks item c % 20 of their colour."""
    shutil.copytree(checkerboard_files, config.folder / "trainings" / "1")
    with database.begin() as session:
        checkerboard(session)
        session.add(Training(status="ready", folder="trainings/1", started_at=NOW, finished_at=NOW))
        session.flush()
        training.publish(session, 1, NOW)


@pytest.fixture
def recommender(database: Database, config: Config) -> Recommender:
    """That of a fresh process."""
    return Recommender(database, config.folder / "trainings", config)


@pytest.fixture
def warehouse(database: Database, config: Config) -> Warehouse:
    """The columnar copy."""
    return Warehouse(database, config.folder / "warehouse", config)
