"""config.toml and the environment become one frozen Config; an unknown setting refuses to start."""

from __future__ import annotations

import contextlib
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from engine.errors import ConfigError, nearest

PREFIX = "RAPPORT_"


@dataclass(frozen=True)
class Workspace:
    """Where files live."""

    path: str = "var/rapport"


@dataclass(frozen=True)
class DatabaseConfig:
    """The SQL database, the truth."""

    url: str = ""


@dataclass(frozen=True)
class Server:
    """The web server."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 8
    public_url: str = "http://127.0.0.1:8000"
    behind_proxy: bool = False


@dataclass(frozen=True)
class Log:
    """Logging."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True)
class Security:
    """Sessions and log-in."""

    session_idle_minutes: int = 30
    session_hours: int = 12
    login_attempts: int = 5
    login_window_minutes: int = 15


@dataclass(frozen=True)
class Locale:
    """Language, zone, currency and country of the shop."""

    language: Literal["en", "zh_Hans_CN"] = "en"
    timezone: str = "UTC"
    currency: str = "GBP"
    country: str = "GB"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True)
class Intake:
    """Limits of what comes in."""

    max_request_rows: int = 5000
    max_request_mb: int = 32
    max_upload_mb: int = 2048
    max_line_kb: int = 1024
    max_future_days: int = 2


@dataclass(frozen=True)
class WarehouseConfig:
    """The columnar copy."""

    threads: int = 0
    memory_mb: int = 2048


@dataclass(frozen=True)
class Mail:
    """Sender and transport of e-mail."""

    transport: Literal["outbox", "smtp", "sendgrid"] = "outbox"
    from_address: str = "hello@shop.example"
    from_name: str = "Shop"
    postal_address: str = "1 High Street, London"
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_timeout_seconds: int = 300


@dataclass(frozen=True)
class SendGridConfig:
    """SendGrid v3 mail/send."""

    host: str = "https://api.sendgrid.com"
    api_key: str = field(default="", repr=False)
    timeout_seconds: int = 30


@dataclass(frozen=True)
class Sms:
    """Sender and transport of SMS."""

    transport: Literal["outbox", "http"] = "outbox"
    host: str = "https://api.twilio.com"
    account: str = ""
    token: str = field(default="", repr=False)
    from_number: str = ""
    timeout_seconds: int = 30


@dataclass(frozen=True)
class Sending:
    """The send ledger."""

    connections: int = 8
    batch: int = 500
    lease_seconds: float = 60
    max_late_hours: int = 6
    holdout: float = 0.1
    max_attempts: int = 8
    retry_seconds: int = 300
    window_days: int = 14


@dataclass(frozen=True)
class Tracking:
    """What is noted about those who read a message."""

    opens: bool = True


@dataclass(frozen=True)
class Tick:
    """The metronome."""

    seconds: float = 1.0


@dataclass(frozen=True)
class Recommender:
    """What trainings learn from."""

    history_days: int = 730
    minimum_support: float = 0.001
    minimum_confidence: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class Config:
    """All settings, frozen. Sections carry the names they have in config.toml."""

    workspace: Workspace = Workspace()
    database: DatabaseConfig = DatabaseConfig()
    server: Server = Server()
    log: Log = Log()
    security: Security = Security()
    locale: Locale = Locale()
    intake: Intake = Intake()
    warehouse: WarehouseConfig = WarehouseConfig()
    mail: Mail = Mail()
    sendgrid: SendGridConfig = field(default_factory=SendGridConfig)
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
    then the environment. Raises ConfigError on a missing file, an unknown setting or a wrong type.
    """
    named = path or (Path(environ[PREFIX + "CONFIG"]) if environ.get(PREFIX + "CONFIG") else None)
    file = named or Path("config.toml")
    data: dict[str, Any] = {}
    if named or file.exists():
        data = _read(file)
    for section, key, value in _from_environment(environ):
        data.setdefault(section, {})[key] = value
    return build(data)


def build(data: Mapping[str, Any]) -> Config:
    """Make a Config from nested mappings; a text is turned into the setting's type (the environment has only text)."""
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


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"The settings file {file} does not exist.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from None


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    found = []
    for name, value in environ.items():
        if not name.startswith(PREFIX) or "__" not in name:
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        text = value
        if key.endswith("_file"):
            key = key.removesuffix("_file")
            try:
                text = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{name} names a file that cannot be read: {error.strerror}.") from None
        found.append((section, key, text))
    return found


def _section(kind: Any, name: str, given: Any) -> Any:
    if not isinstance(given, Mapping):
        raise ConfigError(f"[{name}] must be a section, not a value.", field=name)
    types = typing.get_type_hints(kind)
    for key in given:
        if key not in types:
            raise ConfigError(f"Unknown setting {name}.{key}.{nearest(key, types)}", field=f"{name}.{key}")
    return kind(**{key: _value(types[key], f"{name}.{key}", value) for key, value in given.items()})


def _value(kind: Any, name: str, value: Any) -> Any:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value in choices:
            return value
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {value!r}.", field=name)
    if kind is bool and isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), value)
    elif kind in (int, float) and isinstance(value, (str, int)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            value = kind(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name} must be {kind.__name__}, not {value!r}.", field=name)
    return value
