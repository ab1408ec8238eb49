"""One's own account, how messages leave, what data there is."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, lazy_gettext
from sqlalchemy import delete

from engine.config import Config
from engine.errors import Invalid, NotAuthenticated, TooMany
from web import auth, security
from web.models import User, WebSession
from web.pages.settings.door import blueprint
from web.services import services, utcnow
from web.shell import toast, translated

MIRRORED = (
    ("contacts", lazy_gettext("Contacts")),
    ("items", lazy_gettext("Items")),
    ("orders", lazy_gettext("Orders")),
    ("order_lines", lazy_gettext("Order lines")),
    ("events", lazy_gettext("Events")),
)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Name, language, colours, password, open sessions."""
    return _profile()


@blueprint.post("/profile")
def save_profile() -> ResponseReturnValue:
    """Change name and language."""
    with services().database.begin() as session:
        user = session.get_one(User, security.user().id)
        user.name = request.form.get("name", "").strip()[:128] or user.email
        if "language" in request.form:
            user.language = request.form["language"] if request.form["language"] in translated() else None
    toast(gettext("Saved"))
    return redirect(url_for("settings.index"), 303)


@blueprint.post("/password")
def save_password() -> ResponseReturnValue:
    """Change the password; all other sessions end."""
    current = request.form.get("current", "")
    try:
        auth.verify(
            services().database,
            services().config.security,
            security.user().email,
            current,
            address=request.remote_addr or "",
            now=utcnow(),
        )
    except NotAuthenticated:
        return _profile(fault={"current": gettext("This is not your password.")}), 422
    except TooMany as error:
        return _profile(fault={"current": error.message}), 429
    try:
        with services().database.begin() as session:
            user = session.get_one(User, security.user().id)
            auth.change_password(session, user, request.form.get("password", ""), keep=security.browser().id)
    except Invalid as error:
        return _profile(fault={"password": error.message}), 422
    toast(gettext("The password is changed. Other browsers are logged out."))
    return redirect(url_for("settings.index"), 303)


@blueprint.post("/sessions/end")
def end_sessions() -> ResponseReturnValue:
    """Log out everywhere else."""
    with services().database.begin() as session:
        session.execute(
            delete(WebSession).where(WebSession.user_id == security.user().id, WebSession.id != security.browser().id)
        )
    toast(gettext("Other browsers are logged out."))
    return redirect(url_for("settings.index"), 303)


@blueprint.get("/sending")
def sending() -> ResponseReturnValue:
    """Sender and transports as config.toml has them."""
    config = services().config
    return render_template(
        "settings/sending.html",
        config=config,
        mail=MAIL[config.mail.transport](config),
        sms=SMS[config.sms.transport](config),
    )


@blueprint.get("/data")
def data() -> ResponseReturnValue:
    """Rows in the warehouse and how old they are."""
    warehouse = services().warehouse
    counts = [(label, warehouse.execute(warehouse.table(name).count())[0][0].as_py()) for name, label in MIRRORED]
    database = services().database
    return render_template(
        "settings/data.html", counts=counts, as_of=warehouse.as_of, database=database, folder=services().config.folder
    )


@blueprint.post("/data/refresh")
def refresh() -> ResponseReturnValue:
    """Bring the warehouse up to now."""
    refreshed = services().warehouse.refresh()
    rows = sum(refreshed.rows.values())
    toast(gettext("Refreshed: %(rows)s rows in %(seconds).1f s", rows=rows, seconds=refreshed.seconds))
    return redirect(url_for("settings.data"), 303)


def _profile(fault: dict[str, str] | None = None) -> str:
    with services().database.read() as session:
        open_sessions = auth.open_sessions(session, security.user(), services().config.security, now=utcnow())
    return render_template(
        "settings/profile.html", sessions=open_sessions, this=security.browser().id, fault=fault or {}
    )


def _server(url: str) -> str:
    return urlsplit(url).netloc


def _set(secret: str) -> str:
    return str(gettext("set") if secret else gettext("not set"))


def _outbox(_config: Config) -> list[tuple[str, str]]:
    return [(gettext("Transport"), gettext("Outbox: messages stay here and can be read under Outbox"))]


def _smtp(config: Config) -> list[tuple[str, str]]:
    mail = config.mail
    return [
        (gettext("Transport"), "SMTP"),
        (gettext("Server"), f"{mail.smtp_host}:{mail.smtp_port}"),
        (gettext("Encryption"), mail.smtp_security),
        (gettext("User"), mail.smtp_user or gettext("none")),
        (gettext("Password"), _set(mail.smtp_password)),
    ]


def _sendgrid(config: Config) -> list[tuple[str, str]]:
    return [
        (gettext("Transport"), "SendGrid"),
        (gettext("Server"), _server(config.sendgrid.host)),
        (gettext("API key"), _set(config.sendgrid.api_key)),
    ]


def _http(config: Config) -> list[tuple[str, str]]:
    return [
        (gettext("Transport"), gettext("HTTP (Twilio's interface)")),
        (gettext("Server"), _server(config.sms.host)),
        (gettext("Account"), config.sms.account or gettext("not set")),
        (gettext("Token"), _set(config.sms.token)),
        (gettext("From"), config.sms.from_number or gettext("not set")),
    ]


Facts = Callable[[Config], list[tuple[str, str]]]
MAIL: dict[str, Facts] = {"outbox": _outbox, "smtp": _smtp, "sendgrid": _sendgrid}
SMS: dict[str, Facts] = {"outbox": _outbox, "http": _http}
