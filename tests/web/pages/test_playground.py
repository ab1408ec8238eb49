"""The playground: what the form asks, what the door answers, and the code beside it."""

from __future__ import annotations

import ast
import json
import re
import shlex
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.conftest import HeaderClient
from tests.recommender.bakery import bake
from web.services import Services

PAGE = "/recommendations/playground"
FULL = (
    "placement=item&contact=C1&visitor=v&items=A0, A1&cart=A2&session=A3&n=4&in_stock=no&price_min=1&price_max=20.50"
    "&categories=All&boost_margin=30&boost_freshness=5&purchased=yes&diversity=20&explain=no"
)


@pytest.fixture
def bakery(services: Services) -> Services:
    """Trained."""
    bake(services.database, services.warehouse, services.config)
    return services


def shown(page: str, name: str) -> str:
    """The text of a <pre>."""
    found = re.search(rf'<pre class="code" id="{name}"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert found
    return unescape(found[1])


def test_the_form_makes_the_body(marketer: FlaskClient) -> None:
    """Shares as fractions, lists as lists; what is empty is left out."""
    assert json.loads(shown(marketer.get(f"{PAGE}?{FULL}").text, "request")) == {
        "placement": "item", "contact": "C1", "visitor": "v",
        "context": {"items": ["A0", "A1"], "cart": ["A2"], "session": ["A3"]},
        "n": 4, "filter": {"in_stock": False, "price_min": "1", "price_max": "20.50", "categories": ["All"]},
        "boost": {"margin": 0.3, "freshness": 0.05}, "exclude": {"purchased": True}, "diversity": 0.2, "explain": False,
    }  # fmt: skip
    assert json.loads(shown(marketer.get(PAGE).text, "request")) == {"placement": "home"}


def test_the_door_answers_as_to_a_key(marketer: HeaderClient, api: FlaskClient, bakery: Services) -> None:
    """The same items, sources and reasons for the same body."""
    body = json.loads(shown(marketer.get(f"{PAGE}?placement=item&contact=C35&items=A0&n=2").text, "request"))
    answers = [
        client.post(path, json=body).get_json()
        for client, path in ((marketer, f"{PAGE}/ask"), (api, "/api/v1/recommendations"))
    ]
    for answer in answers:
        assert answer.pop("took_ms") >= 0
        answer.pop("recommendation_id")
    assert answers[0] == answers[1]
    assert answers[0]["items"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("n=abc", "n"), ("n=1000", "n"), ("diversity=abc", "diversity"), ("placement=moon", "placement")],
)
def test_a_fault_is_the_doors_own(marketer: HeaderClient, query: str, field: str) -> None:
    """What is typed goes out as it is, and the API names what is wrong with it, in JSON."""
    body = json.loads(shown(marketer.get(f"{PAGE}?{query}").text, "request"))
    answer = marketer.post(f"{PAGE}/ask", json=body)
    assert (answer.status_code, answer.get_json()["error"]["field"]) == (422, field)
    assert marketer.post(f"{PAGE}/ask", data=b"{", content_type="application/json").get_json()["error"]


def test_only_who_is_logged_in_and_on_the_page(client: FlaskClient, marketer: HeaderClient) -> None:
    """No log-in, no answer; a log-in without the page's token neither; and the cookie opens no other door."""
    assert client.post(f"{PAGE}/ask", json={"placement": "home"}).status_code == 401
    refused = marketer.post(f"{PAGE}/ask", json={"placement": "home"}, headers={"X-CSRF-Token": "wrong"})
    assert refused.status_code == 403
    assert marketer.post("/api/v1/recommendations", json={"placement": "home"}).status_code == 401


def test_code_asks_the_same(marketer: FlaskClient, key: dict[str, str]) -> None:
    """Each way carries the body as it is, whatever stands in it, and no key."""
    nasty = 'contact=it\'s "O" $(rm) `x` \\n &items=盐</script>'
    page = marketer.get(PAGE, query_string=dict(part.split("=", 1) for part in nasty.split("&")))
    body: dict[str, Any] = json.loads(shown(page.text, "request"))
    assert body["context"]["items"] == ["盐</script>"]
    curl = shlex.split(shown(page.text, "code-curl").replace("\\\n", " "))
    assert json.loads(curl[curl.index("-d") + 1]) == body
    tree = ast.parse(shown(page.text, "code-python"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert body in [json.loads(text) for text in texts if text.startswith("{\n")]
    script = shown(page.text, "code-javascript")
    inside = script[script.index("JSON.stringify(") + 15 : script.index("),\n});")]
    assert json.loads(inside) == body
    secret = key["Authorization"].removeprefix("Bearer ")
    assert secret not in page.text
    assert "</script>" not in page.text.partition("<main")[2]
