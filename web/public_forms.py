"""Forms as strangers see them: asked, answered, confirmed. No log-in, no script, no word of what is known."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from campaigns import confirmation, tokens
from engine.errors import Conflict, Invalid, NotFound
from engine.intake.values import Rules
from engine.models import CHANNELS, Form
from engine.sources import forms, questions
from engine.sources.forms import Answer
from engine.sources.questions import Definition
from engine.values import Words
from web import knocks, security, visitor
from web.public_words import of_browser, speaker, tag
from web.security import public as open_to_all
from web.services import services, utcnow

blueprint = Blueprint("forms", __name__)

SOONEST: Final = 2  # seconds: a person reads before answering
LATEST: Final = 86_400  # a page left open for a day
MOST: Final = 30  # answers from one address in ten minutes: a whole class may sit behind it
TRAP: Final = "website"  # a field that people do not see and programs fill in
PREFIX: Final = "q."  # before the names of questions: none is our own field

INPUTS: Final = {"text": "text", "email": "email", "phone": "tel", "number": "text", "date": "date"}
COMPLETE: Final = {"email": "email", "phone": "tel", "first_name": "given-name", "last_name": "family-name",
                   "city": "address-level2", "region": "address-level1", "country": "country-name",
                   "postcode": "postal-code", "birth_date": "bday"}  # fmt: skip


@blueprint.get("/f/<key>")
@open_to_all
def show(key: str) -> ResponseReturnValue:
    """The form."""
    form = _find(key)
    if form is None or form.closed_at:
        return _shut(form)
    return page(form)


@blueprint.post("/f/<key>")
@open_to_all
def take(key: str) -> ResponseReturnValue:
    """An answer; what is refused comes back beside its question with everything typed."""
    form, now = _find(key), utcnow()
    if form is None or form.closed_at:
        return _shut(form)
    if request.form.get(TRAP):
        return _thanked(form)
    if not knocks.allowed("form", MOST, now):
        return page(form, notice="many"), 429
    nonce = _nonce(form.key, now)
    values, faults = _read(form, now)
    if faults or nonce is None:
        return page(form, faults, notice="check" if faults else "again"), 422
    name = (visitor.current() or visitor.new()) if visitor.may_keep() else None
    try:
        _write(form, values, nonce, name, now)
    except Invalid as error:
        return page(form, {_named(form, error.field): questions.REFUSED}, notice="check"), 422
    return _thanked(form, name)


@blueprint.get("/f/<key>/thanks")
@open_to_all
def thanks(key: str) -> ResponseReturnValue:
    """After an answer."""
    form = _find(key)
    if form is None:
        return _shut(form)
    definition = questions.parse(form.definition)
    say = speaker(definition.language)
    lines = [definition.thanks or say("thanks_text")]
    asks = definition.double_opt_in and any(definition.address(channel) for channel in CHANNELS)
    lines += [say("confirm_soon")] if asks else []
    return _framed(_message(definition.language, say("thanks"), lines), definition)


@blueprint.get("/y/<token>")
@open_to_all
def ask_to_confirm(token: str) -> ResponseReturnValue:
    """A page with a button; programs that follow every link confirm nothing."""
    return _confirmation(token, press=False)


@blueprint.post("/y/<token>")
@open_to_all
def confirm(token: str) -> ResponseReturnValue:
    """The owner of the address says yes."""
    return _confirmation(token, press=True)


def page(form: Form, faults: Mapping[str, Words] | None = None, notice: str = "") -> Response:
    """The form with what was typed and what is wrong."""
    definition = questions.parse(form.definition)
    language = definition.language
    stamp = tokens.signer(services().config).sign("form", form.key, int(utcnow().timestamp()), secrets.token_hex(12))
    html = render_template(
        "public/form.html",
        form=definition,
        key=form.key,
        stamp=stamp,
        given={name: request.form.getlist(name) for name in request.form},
        faults={name: words(language) for name, words in (faults or {}).items()},
        notice=notice,
        say=speaker(language),
        page_language=tag(language),
        bare="embed" in request.args,
        inputs=INPUTS,
        complete=COMPLETE,
        prefix=PREFIX,
        trap=TRAP,
    )
    return _framed(html, definition)


def _find(key: str) -> Form | None:
    with services().database.read() as session:
        try:
            return forms.find(session, key)
        except NotFound:
            return None


def _shut(form: Form | None) -> ResponseReturnValue:
    language = form.definition["language"] if form else of_browser()
    say, name = speaker(language), "closed" if form else "gone"
    html = _message(language, say(name), [say(f"{name}_text")])
    return (_framed(html, questions.parse(form.definition)), 410) if form else (html, 404)


def _message(language: str, title: str, lines: list[str]) -> str:
    return render_template("public/message.html", page_language=tag(language), title=title, lines=lines)


def _thanked(form: Form, name: str | None = None) -> ResponseReturnValue:
    """On to the stored address or to the thanks; the policy of the page that sent the form allows no other. The browser
    keeps its `name`.
    """
    to: str = form.definition.get("redirect") or url_for("public.forms.thanks", key=form.key)
    response = make_response(redirect(to, 303))
    if name:
        visitor.keep(response, name)
    return response


def _framed(html: str, definition: Definition) -> Response:
    """An answer that the shop's own pages may show in a frame, and that may send on to where the form says."""
    response = make_response(html)
    origins = ["'self'", *services().config.shop.origins.split()]
    policy = security.POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(origins)}")
    if definition.redirect:
        host = urlsplit(definition.redirect).netloc
        policy = policy.replace("form-action 'self'", f"form-action 'self' https://{host}")
    response.headers["Content-Security-Policy"] = policy
    return response


def _nonce(key: str, now: datetime) -> str | None:
    """The name of this sending of the form; None when its page is too new, too old or not ours."""
    try:
        theirs, seconds, nonce = tokens.signer(services().config).read("form", request.form.get("stamp", ""))
    except (NotFound, ValueError):
        return None
    return nonce if theirs == key and SOONEST <= now.timestamp() - int(seconds) <= LATEST else None


def _read(form: Form, now: datetime) -> tuple[dict[str, Any], dict[str, Words]]:
    """Answers and faults; who agrees to be written to has to say where."""
    definition = questions.parse(form.definition)
    given = {question.name: request.form.getlist(PREFIX + question.name) for question in definition.questions}
    values, faults = questions.read(definition.questions, given, Rules.of(services().config, now))
    if not values:
        faults.setdefault(definition.questions[0].name, questions.MISSING)
    for channel in definition.consents:
        question = definition.address(channel)
        if question and f"consent.{channel}" in request.form and question.name not in values:
            faults.setdefault(question.name, questions.MISSING)
    return values, faults


def _write(form: Form, values: Mapping[str, Any], nonce: str, name: str | None, now: datetime) -> None:
    agreed = {channel for channel in CHANNELS if f"consent.{channel}" in request.form}
    given = Answer(values, agreed, name, nonce)

    def take(session: Session) -> None:
        answered = forms.answer(session, form, given, now=now, config=services().config)
        if answered.asks and answered.contact_id:
            confirmation.ask(session, answered.contact_id, form, answered.asks, now=now, config=services().config)

    services().database.retried(take)


def _named(form: Form, field: str | None) -> str:
    """The question that fills a column of intake."""
    rows = form.definition["questions"]
    wanted = (field or "").removeprefix("properties.")
    return str(next((row["name"] for row in rows if wanted in (row["target"], row["name"])), rows[0]["name"]))


def _confirmation(token: str, *, press: bool) -> ResponseReturnValue:
    try:
        (number,) = tokens.signer(services().config).read("confirm", token)
        return _asked(int(number), press=press)
    except (NotFound, Conflict, ValueError):
        say = speaker(language := of_browser())
        return _message(language, say("confirm_over"), [say("confirm_over_text")]), 404


def _asked(number: int, *, press: bool) -> ResponseReturnValue:
    now, config = utcnow(), services().config
    if press:
        services().database.retried(lambda session: confirmation.confirm(session, number, now=now, config=config))
    with services().database.read() as session:
        row = confirmation.get(session, number, now=now)
        say = speaker(row.language)
        if row.confirmed_at:
            return _message(row.language, say("confirmed"), [say("confirmed_text")])
        title = forms.get(session, row.form_id).definition["title"]
        return render_template(
            "public/confirm.html", page_language=tag(row.language), say=say, row=row, form_title=title
        )
