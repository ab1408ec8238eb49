"""The playground: a question to the API put together in a form, its answer, how long it took, and code that asks it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from recommender import placements
from web import playground
from web.pages.recommendations.door import blueprint
from web.pages.recommendations.index import keys_of
from web.pages.recommendations.placement import known
from web.services import services

REPEATS: Final = 50
PATH: Final = "/api/v1/recommendations"
CHOICES: Final = (("", lazy_gettext("Unchanged")), ("yes", lazy_gettext("Yes")), ("no", lazy_gettext("No")))


WORDS: Final = {  # of the script
    "trip": lazy_gettext("Round trip"),
    "took": lazy_gettext("in the server"),
    "median": lazy_gettext("Median"),
    "p95": lazy_gettext("95 of 100 within"),
    "most": lazy_gettext("Slowest"),
    "axis": lazy_gettext("Milliseconds of a round trip"),
    "asking": lazy_gettext("Asking …"),
    "refused": lazy_gettext("Refused, so not asked again:"),
    "failed": lazy_gettext("No answer: the server cannot be reached."),
}


def _text(typed: str) -> str:
    return typed[:128]


def _number(typed: str) -> float | int | str:
    """As it is when it is none: then the API says what is wrong with it."""
    try:
        return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else round(float(typed[:20]), 6)
    except ValueError:
        return typed[:20]


def _share(typed: str) -> float | str:
    number = _number(typed)
    return number if isinstance(number, str) else round(number / 100, 6)


def _truth(typed: str) -> bool:
    return typed == "yes"


FIELDS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {  # name in the form: place in the body, how it is read
    "placement": ("placement", _text),
    "contact": ("contact", _text),
    "visitor": ("visitor", lambda typed: typed[:64]),
    "items": ("context.items", keys_of),
    "cart": ("context.cart", keys_of),
    "session": ("context.session", keys_of),
    "n": ("n", _number),
    "in_stock": ("filter.in_stock", _truth),
    "price_min": ("filter.price_min", _text),
    "price_max": ("filter.price_max", _text),
    "categories": ("filter.categories", keys_of),
    "boost_margin": ("boost.margin", _share),
    "boost_freshness": ("boost.freshness", _share),
    "purchased": ("exclude.purchased", _truth),
    "diversity": ("diversity", _share),
    "explain": ("explain", _truth),
}


@blueprint.get("/playground")
def playground_page() -> ResponseReturnValue:
    """The form of a question, the body it makes, and code that sends it."""
    typed = {name: request.args.get(name, "").strip()[:2000] for name in FIELDS}
    with services().database.read() as session:
        plans = placements.read(session)
        typed["placement"] = typed["placement"] or next(iter(plans))
        body = composed(typed)
        return render_template(
            "recommendations/playground.html",
            typed=typed,
            body=json.dumps(body, indent=2, ensure_ascii=False),
            code=code(body),
            choices=CHOICES,
            plans=[(plan.key, plan.name) for plan in plans.values()],
            known=known(session),
            repeats=REPEATS,
            words={name: str(words) for name, words in WORDS.items()},
        )


@blueprint.post("/playground/ask")
def playground_ask() -> ResponseReturnValue:
    """The API's answer to the body."""
    return playground.ask()


def composed(typed: Mapping[str, str]) -> dict[str, Any]:
    """The body of a question; what is left empty is left out."""
    body: dict[str, Any] = {}
    for name, (place, read) in FIELDS.items():
        if not typed.get(name):
            continue
        above, _, last = place.rpartition(".")
        (body.setdefault(above, {}) if above else body)[last] = read(typed[name])
    return body


def code(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(id, name, text) of each way to ask; the key comes from the environment, none stands here."""
    url = services().config.server.public_url.rstrip("/") + PATH
    told = json.dumps(body, indent=2, ensure_ascii=False)
    curl = (
        f'curl -sS {shlex.quote(url)} \\\n  -H "Authorization: Bearer $RAPPORT_KEY" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d {shlex.quote(told)}"
    )
    javascript = (
        f"const response = await fetch({json.dumps(url)}, {{\n  method: 'POST',\n  headers: {{\n"
        "    Authorization: `Bearer ${process.env.RAPPORT_KEY}`,\n    'Content-Type': 'application/json',\n  },\n"
        f"  body: JSON.stringify({_indented(told, 2)}),\n}});\nconst {{ items }} = await response.json();"
    )
    python = (
        "import json\nimport os\nfrom urllib.request import Request, urlopen\n\n"
        f"question = json.loads({_literal(told)})\n"
        'key = os.environ["RAPPORT_KEY"]\n'
        'headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}\n'
        f"request = Request({json.dumps(url)}, json.dumps(question).encode(), headers)\n"
        'with urlopen(request, timeout=5) as response:\n    items = json.load(response)["items"]'
    )
    return [("curl", "curl", curl), ("javascript", "JavaScript", javascript), ("python", "Python", python)]


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


def _literal(text: str) -> str:
    """A text as Python writes it, line by line."""
    quoted = "\n".join(f"    {line!r}" for line in text.splitlines(keepends=True))
    return f"(\n{quoted}\n)"
