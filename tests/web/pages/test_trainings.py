"""The history of trainings, the page of one, and the way back."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.errors import Invalid
from engine.warehouse.current import locked
from recommender import training
from recommender.models import Training
from tests.recommender.bakery import bake
from tests.recommender.shop import NOW
from web.services import Services

PAGE = "/recommendations/trainings"
SCORES: dict[str, Any] = {"cases": 400, "hit_rate": 0.31, "recall": 0.2, "ndcg": 0.1, "mrr": 0.12, "coverage": 0.4}
METRICS: dict[str, Any] = {
    "cut": "2026-02-20T00:00:00+00:00",
    "purchases": 12_345,
    "data": {"contacts": 900, "items": 80, "items_bought": 70, "views": 4_000, "since": "2025-06-01T00:00:00+00:00"},
    "for_you": {
        "training": SCORES, "popular": SCORES | {"hit_rate": 0.17}, "published": SCORES | {"hit_rate": 0.3},
        "gain": {"hit_rate": 0.14, "hit_rate_error": 0.02, "ndcg": 0.05, "ndcg_error": 0.01},
        "gain_before": {"hit_rate": 0.01, "hit_rate_error": 0.01, "ndcg": 0.0, "ndcg_error": 0.01},
    },
    "cross_sell": {
        "training": SCORES, "popular": SCORES | {"hit_rate": 0.4}, "published": None,
        "parts": {"ease": {"ndcg": 0.0987}},
    },
    "seconds": {
        "interactions": 2.0, "tuning rules: ease": 3.0, "tuning rules: blend": 4.0, "trial rules": 1.0, "popular": 0.01,
    },
}  # fmt: skip
BLEND = {"main": "ease", "gain": -0.002, "gain_error": 0.001, "kept": False}
TUNED: dict[str, Any] = {
    "rules": {
        "parts": {"ease": {"l2": 0.2, "half_life": None}},
        "weights": {"ease log": 1.25, "cosine log": 0.01},
        "validation": {"parts": {"ease": {"tried": 38}}, "blend": BLEND},
    }
}
USED = {"rules": TUNED["rules"] | {"tuned": True}, "session": {"parts": {"alike": {}}, "weights": {}, "tuned": False}}


@pytest.fixture
def trained(services: Services) -> Services:
    """Training 1 serves; 2 was refused and has its files; 3 failed; 4 has lost its files."""
    bake(services.database, services.warehouse, services.config)
    folder = services.config.folder / "trainings"
    shutil.copytree(folder / "1", folder / "2")
    rows: tuple[dict[str, Any], ...] = (
        {"status": "refused", "error": "for you: nDCG@10 0.1 against 0.2", "metrics": METRICS,
         "settings": {"tuned": TUNED, "used": USED, "seed": 7}},
        {"status": "failed", "error": "The process ended <before> the training did."},
        {"status": "ready"},
    )  # fmt: skip
    with services.database.begin() as session:
        for number, row in enumerate(rows, 2):
            ended = NOW + timedelta(days=number, seconds=12.5)
            at = {"started_at": NOW + timedelta(days=number), "finished_at": ended}
            session.add(Training(folder=f"trainings/{number}", **at, **row))
            session.flush()
    return services


def toast(answer: TestResponse) -> dict[str, Any]:
    """What the short message says."""
    value = re.search(r"toast=([^;]+)", answer.headers["Set-Cookie"])
    assert value
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(value[1] + "=" * (-len(value[1]) % 4)))
    return told


def words(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_the_history(marketer: FlaskClient, trained: Services) -> None:
    """Newest first: state, time, worth with its interval where it is known, and why one was refused."""
    page = marketer.get(PAGE).text
    told = words(page)
    assert [int(number) for number in re.findall(r"> ?Training (\d)</a>", page)] == [4, 3, 2, 1]
    assert "12.5 s" in told
    assert "31% +14 ± 3.9" in told
    assert "31% against 40%" in told
    assert "for you: nDCG@10 0.1 against 0.2" in told
    assert "1 source" in told
    assert "<before>" not in page
    assert 'hx-trigger="every 1s"' not in page


def test_only_what_can_serve_is_offered(marketer: FlaskClient, trained: Services) -> None:
    """Not what serves, not what failed, not what has no files any more."""
    assert re.findall(r'action="/recommendations/trainings/(\d)/publish"', marketer.get(PAGE).text) == ["2"]


def test_the_way_there_and_back(marketer: FlaskClient, trained: Services) -> None:
    """One click, and the message takes it back."""
    said = toast(marketer.post(f"{PAGE}/2/publish"))
    assert said == {"message": "Training 2 serves now.", "undo": f"{PAGE}/1/publish", "undoLabel": "Undo"}
    with trained.database.read() as session:
        assert training.current(session).id == 2  # type: ignore[union-attr]
    marketer.post(said["undo"])
    with trained.database.read() as session:
        assert training.current(session).id == 1  # type: ignore[union-attr]
    assert toast(marketer.post(f"{PAGE}/1/publish"))["undo"] is None


def test_what_cannot_serve_is_refused(marketer: FlaskClient, trained: Services) -> None:
    """Without files, without a row; the old one goes on."""
    assert marketer.post(f"{PAGE}/4/publish").status_code >= 400
    assert marketer.post(f"{PAGE}/99/publish").status_code == 404
    with trained.database.read() as session:
        assert training.current(session).id == 1  # type: ignore[union-attr]


def test_the_page_of_one(marketer: FlaskClient, trained: Services) -> None:
    """Worth, facts, what was chosen; every measure beside best-sellers."""
    page = marketer.get(f"{PAGE}/2").text
    told = words(page)
    assert "For a person: +14 points, 31% against 17%" in told
    assert "between 10.1% and 17.9%" in unescape(page)
    assert "Period 1 Jun 2025" in told
    assert "Contacts 900" in told
    assert "80 70 of them bought" in told
    assert "l2 0.2" in told
    assert "half life none" in told
    assert "ease log 1.25" in told
    assert "A blend gained \u22120.002 ± 0.002 over ease alone" in told.replace("\u2060", "")
    assert "the best of 38" in told
    assert "ease 0.099" in told
    assert "session as usual" in told
    assert "cosine log" not in told
    assert 'rel="prev" href="/recommendations/trainings/1"' in page
    assert 'rel="next" href="/recommendations/trainings/3"' in page
    chart, timings = (json.loads(unescape(found)) for found in re.findall(r'data-chart="([^"]+)"', page))
    assert timings["categories"] == ["tuning rules", "interactions", "trials", "the rest"]
    assert timings["series"][0]["values"] == [7.0, 2.0, 1.0, 0.01]
    assert chart["categories"] == ["For a person", "Beside an item"]
    assert [one["values"] for one in chart["series"]] == [[0.31, 0.31], [0.3, None], [0.17, 0.4]]


def test_a_bare_training(marketer: FlaskClient, trained: Services) -> None:
    """One without figures says that it was not measured; none is a fault."""
    assert "Not measured" in marketer.get(f"{PAGE}/1").text
    assert "Serves" in marketer.get(f"{PAGE}/1").text
    failed = marketer.get(f"{PAGE}/3").text
    assert "The process ended &lt;before&gt;" in failed
    assert "It ended before it could be measured, and cannot serve." in failed
    assert "all the same" not in failed
    assert "gone;" not in failed
    assert marketer.get(f"{PAGE}/99").status_code == 404


def test_pages(marketer: FlaskClient, trained: Services) -> None:
    """Twenty a page; the page looks again while one runs."""
    with trained.database.begin() as session:
        for _ in range(22):
            session.add(Training(status="failed", folder="x", started_at=NOW, finished_at=NOW))
        progress = {"stage": "next_purchase", "share": 0.375}
        session.add(Training(status="running", folder="x", started_at=NOW, metrics={"progress": progress}))
    first = marketer.get(PAGE).text
    assert 'hx-trigger="every 1s"' in first
    assert "37.5% done: next purchase" in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    rest = marketer.get(unescape(older[1])).text
    assert len(re.findall(r'scope="row"', first)) == 20
    assert len(re.findall(r'scope="row"', rest)) == 7
    assert 'hx-trigger="every 1s"' not in rest


def test_a_start_is_on_the_page_at_once(
    marketer: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that the button leads to shows the training and follows it; a second one is refused with since when."""
    go, ended = threading.Event(), threading.Event()

    def carry_out(run: training.Run, *_: object) -> None:
        try:
            assert go.wait(30)
            raise Invalid("There is nothing to learn from.")
        finally:
            ended.set()

    monkeypatch.setattr(training.Run, "carry_out", carry_out)
    assert toast(marketer.post("/recommendations/train"))["message"].startswith("The training has begun.")
    page = marketer.get(PAGE).text
    assert "Training 1" in page
    assert 'hx-trigger="every 1s"' in page
    refused = toast(marketer.post("/recommendations/train"))["message"]
    assert re.fullmatch(r"Training 1 has been running since \d+ \w+ \d{4}, [^<]+\. Wait until it has ended\.", refused)
    assert "It is still learning." in marketer.get(f"{PAGE}/1").text
    go.set()
    assert ended.wait(30)
    eventually(lambda: "There is nothing to learn from." in marketer.get(PAGE).text)
    page = marketer.get(PAGE).text
    assert 'hx-trigger="every 1s"' not in page
    assert "Training 2" not in page
    with locked(services.config.folder / "trainings" / "lock") as free:  # waits until it was let go of
        assert free
    assert toast(marketer.post("/recommendations/train"))["message"].startswith("The training has begun.")
    eventually(lambda: "Training 2" in marketer.get(PAGE).text and "every 1s" not in marketer.get(PAGE).text)


def eventually(holds: Callable[[], bool]) -> None:
    """Fail unless it holds within 30 seconds."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_before_the_first(marketer: FlaskClient) -> None:
    """What a training is, and what it needs."""
    page = marketer.get(PAGE).text
    assert "Nothing learned yet" in page
    assert "Train now" in page
