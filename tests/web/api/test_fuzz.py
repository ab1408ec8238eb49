"""The API under its own description: schemathesis makes calls from it, valid and wrong ones, and holds each answer
against it.

By hand, for long: RAPPORT_FUZZ_EXAMPLES=2000 RAPPORT_FUZZ_SEED=7 pytest tests/web/api/test_fuzz.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from apiflask import APIFlask
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

EXAMPLES = int(os.environ.get("RAPPORT_FUZZ_EXAMPLES", "0"))
SEED = int(os.environ.get("RAPPORT_FUZZ_SEED", "1"))

CHECKS: dict[str, Any] = {
    # A value may fit the schema and still mean nothing here: a list that is not there, an item twice.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "409", "422"]},
    "negative_data_rejection": {"expected-statuses": ["400", "404", "409", "413", "415", "422"]},
    # It cannot call a WSGI application; tests/web/test_security.py asks every address without a key.
    "ignored_auth": {"enabled": False},
}
# A wrong record refuses itself and not the call, so what is sent may break the schema and still be answered by 200.
INTAKE = {
    "include-path-regex": "/(contacts|items|orders|events)$",
    "checks": {"negative_data_rejection": {"enabled": False}},
}


def _config(headers: dict[str, str]) -> SchemathesisConfig:
    deep = EXAMPLES > 0
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": headers,
            "continue-on-failure": True,
            "generation": {"max-examples": EXAMPLES or 8, "no-shrink": not deep, "deterministic": not deep},
            "phases": {"stateful": {"enabled": deep}},
            "checks": CHECKS,
            "operations": [INTAKE],
        }
    )


def _faults(event: Any) -> Iterator[str]:
    """What an event of the engine says against us."""
    if isinstance(event, events.NonFatalError | events.FatalError):
        yield str(getattr(event, "value", None) or getattr(event, "exception", event))
    if isinstance(event, events.ScenarioFinished):
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    found, sent = check.failure_info, event.recorder.interactions[case_id]
                    got = sent.response.content[:500] if sent.response else b""
                    yield f"{found.failure.title}\n{found.failure.message}\n{found.code_sample}\n{got!r}"


@pytest.mark.parametrize("config", ["sqlite", "postgresql"] if EXAMPLES else ["sqlite"], indirect=True)
def test_every_answer_is_as_described(app: APIFlask, key: dict[str, str]) -> None:
    """No 5xx; every status, content type and body is one that the description names; wrong calls are refused."""
    app.testing = False
    described = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=_config(key), headers=key)
    statuses: Counter[int] = Counter()
    faults: dict[str, None] = {}
    for event in from_schema(described).execute():
        faults |= dict.fromkeys(_faults(event))
        if isinstance(event, events.ScenarioFinished):
            statuses.update(sent.response.status_code for sent in event.recorder.interactions.values() if sent.response)
    assert not faults, f"{len(faults)} faults\n\n" + "\n\n".join(list(faults)[:10])
    assert {200, 201, 404, 405, 422} <= statuses.keys()
    assert statuses.total() > 1000
