"""Settings come from config.toml and the environment, and nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from campaigns import plans
from engine import config as settings
from engine.config import Config
from engine.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.toml"


def test_shipped_file_holds_every_setting_and_nothing_else() -> None:
    """config.toml names every setting once, each with its default and a comment on its line or above."""
    data = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    named = {f"{section}.{key}": value for section, keys in data.items() for key, value in keys.items()}
    assert named == settings.settings(Config())


def test_unknown_settings_name_the_nearest() -> None:
    """A typing error stops the program and says what was probably meant."""
    with pytest.raises(ConfigError, match=r"server\.prot.*'port'"):
        settings.build({"server": {"prot": 1}})
    with pytest.raises(ConfigError, match="Unknown section"):
        settings.build({"servers": {}})


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    """RAPPORT_SECTION__KEY overrides; text becomes the setting's type; a secret can come from a file."""
    file, secret = tmp_path / "c.toml", tmp_path / "secret"
    file.write_text("[server]\nport = 1\n", encoding="utf-8")
    secret.write_text("hush\n", encoding="utf-8")
    environ = {
        "RAPPORT_SERVER__PORT": "9000",
        "RAPPORT_SERVER__BEHIND_PROXY": "true",
        "RAPPORT_TICK__SECONDS": "2",
        "RAPPORT_MAIL__SMTP_PASSWORD_FILE": str(secret),
        "PATH": "/bin",
    }
    config = settings.load(file, environ)
    assert (config.server.port, config.server.behind_proxy, config.tick.seconds) == (9000, True, 2.0)
    assert config.mail.smtp_password == "hush"
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"server": {"port": "many"}}, "server.port must be a whole number from 1 to 65535, not 'many'."),
        ({"server": {"port": True}}, "server.port must be a whole number from 1 to 65535, not True."),
        ({"server": {"port": 80.0}}, "server.port must be a whole number from 1 to 65535, not 80.0."),
        ({"server": {"behind_proxy": 1}}, "server.behind_proxy must be true or false, not 1."),
        ({"tick": {"seconds": "nan"}}, "tick.seconds must be a number from 0.05 to 3600.0, not 'nan'."),
        ({"tick": {"seconds": 10**400}}, "tick.seconds must be a number from 0.05 to 3600.0, not 1000"),
        ({"mail": {"transport": "pigeon"}}, "mail.transport must be one of outbox, smtp, sendgrid, not 'pigeon'."),
        ({"mail": {"from_address": "Shop"}}, "mail.from_address must be a mail address, not 'Shop'."),
        ({"locale": {"timezone": "Europe/Lodnon"}}, "Did you mean 'Europe/London'"),
        (
            {"locale": {"currency": "pounds"}},
            "locale.currency must be a code of three capitals like GBP, not 'pounds'.",
        ),
        ({"server": {"public_url": "shop.example"}}, "server.public_url must be an address like https://shop.example"),
        ({"workspace": {"path": " "}}, "workspace.path must be the name of a folder, not ' '."),
        ({"server": 1}, "must be a section"),
    ],
)
def test_wrong_values_are_refused(data: dict[str, object], message: str) -> None:
    """A value that cannot be names its setting and what it should be."""
    with pytest.raises(ConfigError) as caught:
        settings.build(data)
    assert message in caught.value.message


def numbers() -> list[tuple[str, Field[Any]]]:
    """Every setting that is a number."""
    return [
        (f"{section.name}.{field.name}", field)
        for section in fields(Config)
        for field in fields(section.default)  # type: ignore[arg-type]
        if field.type in ("int", "float")
    ]


@pytest.mark.parametrize(("name", "field"), numbers(), ids=lambda given: given if isinstance(given, str) else "")
def test_every_number_has_its_range(name: str, field: Field[Any]) -> None:
    """Both ends are allowed, what lies beyond is refused with the setting, the value and the range."""
    section, _, key = name.partition(".")
    least, most = field.metadata["range"]
    assert least <= field.default <= most
    for value in (least, most):
        assert settings.settings(settings.build({section: {key: value}}))[name] == value
    step = 1 if field.type == "int" else 0.01
    for value in (least - step, most + step, -(10**9), 10**12):
        with pytest.raises(ConfigError, match=rf"{name} must be .* from {least} to {most}, not {value!r}\.") as caught:
            settings.build({section: {key: value}})
        assert caught.value.field == name


def test_limits_agree_with_those_of_campaigns() -> None:
    """A default that no campaign may have would refuse every new campaign."""
    ranges = {name: field.metadata["range"] for name, field in numbers()}
    assert ranges["sending.holdout"] == (0, plans.HOLDOUT_LIMIT)
    assert ranges["sending.window_days"] == (plans.WINDOW_DAYS[0], plans.WINDOW_DAYS[-1])


@pytest.mark.parametrize("name", ["mail.smtp_password", "sendgrid.api_key", "sms.token", "database.url"])
def test_secrets_are_never_shown(name: str) -> None:
    """Neither in an error nor in what a log would print."""
    section, _, key = name.partition(".")
    with pytest.raises(ConfigError) as caught:
        settings.build({section: {key: 31415926}})
    assert caught.value.message == f"{name} must be a text."
    assert "hush" not in repr(settings.build({section: {key: "hush"}}))


def test_errors_name_where_the_value_stands(tmp_path: Path) -> None:
    """The file, or the variable that goes before it; also when one of them holds no section where the other does."""
    file = tmp_path / "c.toml"
    file.write_text("server = 1\n", encoding="utf-8")
    wrong: dict[str, dict[str, str]] = {
        f"{file}: [server] must be a section": {},
        "RAPPORT_TICK__SECONDS: tick.seconds must be": {"RAPPORT_TICK__SECONDS": "0"},
        "RAPPORT_TICKS__SECONDS: Unknown section [ticks]": {"RAPPORT_TICKS__SECONDS": "1"},
        "RAPPORT_TICK__SECOND: Unknown setting tick.second": {"RAPPORT_TICK__SECOND": "1"},
        "RAPPORT_SERVER__PORT: [server] must be a section": {"RAPPORT_SERVER__PORT": "1"},
    }
    for message, environ in wrong.items():
        with pytest.raises(ConfigError) as caught:
            settings.load(file if "[server]" in message else None, {"RAPPORT_CONFIG": "", **environ})
        assert caught.value.message.startswith(message)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A folder, no TOML, no UTF-8: named, with the reason. A byte order mark does no harm."""
    file = tmp_path / "c.toml"
    for content, why in ((b"[server\n", "is not valid TOML"), (b"\xff\xfe", "is not valid TOML")):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=why):
            settings.load(file, {})
        with pytest.raises(ConfigError, match="RAPPORT_SMS__TOKEN_FILE names a file that cannot be read"):
            settings.load(None, {"RAPPORT_SMS__TOKEN_FILE": str(file if content[0] == 0xFF else tmp_path)})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        settings.load(tmp_path, {})
    file.write_bytes(b"\xef\xbb\xbf[server]\nport = 81\n")
    assert settings.load(file, {}).server.port == 81


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A named file that is not there is never silently replaced by defaults."""
    with pytest.raises(ConfigError, match="does not exist"):
        settings.load(tmp_path / "none.toml", {})
