"""config.toml and the environment become one frozen Config; a setting that cannot be refuses to start.

Each setting stands once, with its default and what it may be: numbers `between` two ends, texts `shaped` by a pattern,
words of a Literal. A `secret` is never shown, in an error neither.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from engine.errors import ConfigError, nearest

PREFIX = "RAPPORT_"
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}

Number = TypeVar("Number", int, float)


def between(default: Number, least: Number, most: Number) -> Number:
    """A number from `least` to `most`, both allowed."""
    number: Number = field(default=default, metadata={"range": (least, most)})
    return number


def shaped(default: str, pattern: str, words: str) -> str:
    """A text that the whole `pattern` fits; `words` say what it is."""
    text: str = field(default=default, metadata={"pattern": re.compile(pattern), "words": words})
    return text


def secret() -> str:
    """A text that is shown nowhere."""
    text: str = field(default="", repr=False)
    return text


def web_address(default: str) -> str:
    """Where a server is, without a slash at the end or with one."""
    return shaped(default, r"https?://[^\s/?#]+[^\s?#]*", "an address like https://shop.example")


@dataclass(frozen=True)
class Workspace:
    """Where files live."""

    path: str = shaped("var/rapport", r".*\S.*", "the name of a folder")


@dataclass(frozen=True)
class DatabaseConfig:
    """The SQL database, the truth."""

    url: str = secret()  # may hold a password


@dataclass(frozen=True)
class Server:
    """The web server."""

    host: str = shaped("127.0.0.1", r"\S+", "an address to listen on like 127.0.0.1")
    port: int = between(8000, 1, 65_535)
    workers: int = between(1, 1, 256)
    threads: int = between(8, 1, 1024)
    public_url: str = web_address("http://127.0.0.1:8000")
    behind_proxy: bool = False


@dataclass(frozen=True)
class Shop:
    """The shop's own websites."""

    origins: str = shaped(
        "",
        r"(https?://[A-Za-z0-9.:\[\]-]+( https?://[A-Za-z0-9.:\[\]-]+)*)?",
        "addresses like https://shop.example without a path, with a blank between two",
    )


@dataclass(frozen=True)
class Log:
    """Logging."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True)
class Security:
    """Sessions and log-in."""

    session_idle_minutes: int = between(30, 1, 10_080)  # a week
    session_hours: int = between(12, 1, 8_760)  # a year
    login_attempts: int = between(5, 1, 1000)
    login_window_minutes: int = between(15, 1, 1440)


@dataclass(frozen=True)
class Locale:
    """Language, zone, currency and country of the shop."""

    language: Literal["en", "zh_Hans_CN"] = "en"
    timezone: str = "UTC"
    currency: str = shaped("GBP", r"[A-Z]{3}", "a code of three capitals like GBP")
    country: str = shaped("GB", r"[A-Z]{2}", "a code of two capitals like GB")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True)
class Intake:
    """Limits of what comes in."""

    max_request_rows: int = between(5000, 1, 100_000)
    max_request_mb: int = between(32, 1, 1024)
    max_upload_mb: int = between(2048, 1, 1_048_576)
    max_line_kb: int = between(1024, 1, 65_536)
    max_future_days: int = between(2, 0, 3650)


@dataclass(frozen=True)
class WarehouseConfig:
    """The columnar copy."""

    threads: int = between(0, 0, 1024)
    memory_mb: int = between(2048, 64, 4_194_304)
    criteria_weight: int = between(1000, 10, 1_000_000)
    longest_seconds: float = between(30.0, 0.1, 3600.0)


@dataclass(frozen=True)
class Mail:
    """Sender and transport of e-mail."""

    transport: Literal["outbox", "smtp", "sendgrid"] = "outbox"
    from_address: str = shaped("hello@shop.example", r"[^@\s<>,;]+@[^@\s<>,;]+", "a mail address")
    from_name: str = "Shop"
    postal_address: str = "1 High Street, London"
    smtp_host: str = shaped("127.0.0.1", r"\S+", "the name of a server")
    smtp_port: int = between(25, 1, 65_535)
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: str = secret()
    smtp_timeout_seconds: int = between(300, 1, 3600)


@dataclass(frozen=True)
class SendGridConfig:
    """SendGrid v3 mail/send."""

    host: str = web_address("https://api.sendgrid.com")
    api_key: str = secret()
    timeout_seconds: int = between(30, 1, 600)
    webhook_public_key: str = shaped("", r"[A-Za-z0-9+/]*={0,2}", "a key in Base64, in one line")


@dataclass(frozen=True)
class Sms:
    """Sender and transport of SMS."""

    transport: Literal["outbox", "http"] = "outbox"
    host: str = web_address("https://api.twilio.com")
    account: str = ""
    token: str = secret()
    from_number: str = ""
    form_countries: str = shaped("", r"([A-Z]{2}( [A-Z]{2})*)?", "codes like GB IE with a blank between two")
    timeout_seconds: int = between(30, 1, 600)


@dataclass(frozen=True)
class Sending:
    """The send ledger."""

    connections: int = between(8, 1, 256)
    batch: int = between(500, 1, 10_000)
    lease_seconds: float = between(60.0, 0.1, 3600.0)
    max_late_hours: int = between(6, 1, 8_760)  # 0 would call every campaign late
    holdout: float = between(0.1, 0.0, 0.5)
    max_attempts: int = between(8, 1, 100)
    retry_seconds: int = between(300, 0, 4000)
    window_days: int = between(14, 1, 90)
    undo_seconds: int = between(30, 0, 300)


@dataclass(frozen=True)
class Tracking:
    """What is noted about those who read a message, and about visitors of the shop's pages (web.collect)."""

    opens: bool = True
    site: str = shaped("", r"[A-Za-z0-9_-]{0,64}", "at most 64 letters, digits, - and _")
    consent: Literal["ask", "none"] = "ask"
    identify: Literal["signed", "any"] = "signed"
    secret: str = secret()
    trust_orders: bool = False


@dataclass(frozen=True)
class Tick:
    """The metronome."""

    seconds: float = between(1.0, 0.05, 3600.0)


@dataclass(frozen=True)
class Recommender:
    """What trainings learn from."""

    history_days: int = between(730, 1, 36_500)
    minimum_support: float = between(0.001, 0.000_001, 1.0)
    minimum_confidence: float = between(0.05, 0.0, 1.0)
    seed: int = between(1, 0, 2**32 - 1)


@dataclass(frozen=True)
class Config:
    """All settings, frozen. Sections carry the names they have in config.toml."""

    workspace: Workspace = Workspace()
    database: DatabaseConfig = DatabaseConfig()
    server: Server = Server()
    shop: Shop = Shop()
    log: Log = Log()
    security: Security = Security()
    locale: Locale = Locale()
    intake: Intake = Intake()
    warehouse: WarehouseConfig = WarehouseConfig()
    mail: Mail = Mail()
    sendgrid: SendGridConfig = SendGridConfig()
    sms: Sms = Sms()
    sending: Sending = Sending()
    tracking: Tracking = Tracking()
    tick: Tick = Tick()
    recommender: Recommender = Recommender()

    @property
    def folder(self) -> Path:
        """The workspace folder, absolute."""
        return Path(self.workspace.path).resolve()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the SQL database."""
        return self.database.url or f"sqlite:///{self.folder / 'rapport.db'}"


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read settings: defaults, then `path` (default: RAPPORT_CONFIG, else config.toml here if there is one),
    then the environment. Raises ConfigError on a file that cannot be read, an unknown setting or one that cannot be;
    the message begins with the file or the variable at fault.
    """
    named = path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    file = named or Path("config.toml")
    data = _read(file, needed=named is not None)
    came_from = {}
    for variable, section, key, value in _from_environment(environ):
        came_from[f"{section}.{key}"] = came_from[section] = variable
        if isinstance(data.setdefault(section, {}), dict):  # if not, `build` says so
            data[section][key] = value
    try:
        return build(data)
    except ConfigError as error:
        origin = came_from.get(error.field or "", file)
        raise ConfigError(f"{origin}: {error.message}", field=error.field) from None


def build(data: Mapping[str, Any]) -> Config:
    """Make a Config from nested mappings; a text is turned into the setting's type (the environment has only text).
    Raises ConfigError with the setting, its value and what it may be.
    """
    sections = typing.get_type_hints(Config)
    for name in data:
        if name not in sections:
            raise ConfigError(f"Unknown section [{name}].{nearest(name, sections)}", field=name)
    config = Config(**{name: _section(sections[name], name, given) for name, given in data.items()})
    if config.locale.timezone not in available_timezones():
        raise ConfigError(
            f"locale.timezone '{config.locale.timezone}' is no IANA time zone."
            + nearest(config.locale.timezone, available_timezones()),
            field="locale.timezone",
        )
    return config


def settings(config: Config) -> dict[str, Any]:
    """Every setting with its value, as {"section.key": value}."""
    return {f"{section}.{key}": value for section, keys in asdict(config).items() for key, value in keys.items()}


def _read(file: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if not needed:
            return {}
        raise ConfigError(f"The settings file {file} does not exist.") from None
    except OSError as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from None


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    """Variable, section, setting and text."""
    for name, value in environ.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if not key.endswith("_file"):
            yield name, section, key, value
            continue
        try:
            text = Path(value).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the name
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"{name} names a file that cannot be read: {why}.") from None
        yield name, section, key.removesuffix("_file"), text


def _section(kind: Any, name: str, given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise ConfigError(f"[{name}] must be a section, not a value.", field=name)
    types = typing.get_type_hints(kind)
    for key in given:
        if key not in types:
            raise ConfigError(f"Unknown setting {name}.{key}.{nearest(key, types)}", field=f"{name}.{key}")
    about = {found.name: found for found in fields(kind)}
    return kind(**{key: _value(types[key], about[key], f"{name}.{key}", value) for key, value in given.items()})


def _value(kind: Any, about: Field[Any], name: str, given: Any) -> Any:
    """The setting's value; raises ConfigError when it cannot be."""
    value = _typed(kind, given)
    if value is None or not _allowed(kind, about, value):
        shown = f", not {given!r:.60}" if about.repr else ""
        raise ConfigError(f"{name} must be {_wanted(kind, about)}{shown}.", field=name)
    return value


def _typed(kind: Any, value: Any) -> Any:
    """`value` as `kind`, None when it is not one; true is no number."""
    if typing.get_origin(kind) is Literal:
        return value if value in typing.get_args(kind) else None
    if kind is bool and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    if kind in (int, float) and isinstance(value, str | int) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return kind(value)
    return value if type(value) is kind else None


def _allowed(kind: Any, about: Field[Any], value: Any) -> bool:
    least, most = about.metadata.get("range", (-math.inf, math.inf))
    if kind in (int, float):
        return bool(least <= value <= most)  # false for nan
    pattern = about.metadata.get("pattern")
    return pattern is None or pattern.fullmatch(value) is not None


def _wanted(kind: Any, about: Field[Any]) -> str:
    """What a setting may be, in words."""
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    if "range" in about.metadata:
        least, most = about.metadata["range"]
        return f"{KINDS[kind]} from {least} to {most}"
    return str(about.metadata.get("words", KINDS[kind]))
