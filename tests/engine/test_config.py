"""Settings come from config.toml and the environment, and nothing else."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

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
        ({"server": {"port": "many"}}, "server.port must be int"),
        ({"server": {"port": True}}, "server.port must be int"),
        ({"mail": {"transport": "pigeon"}}, "mail.transport must be one of outbox, smtp, sendgrid"),
        ({"locale": {"timezone": "Europe/Lodnon"}}, "Did you mean 'Europe/London'"),
        ({"server": 1}, "must be a section"),
    ],
)
def test_wrong_values_are_refused(data: dict[str, object], message: str) -> None:
    """A value of the wrong kind names its setting and what it should be."""
    with pytest.raises(ConfigError, match=message):
        settings.build(data)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A named file that is not there is never silently replaced by defaults."""
    with pytest.raises(ConfigError, match="does not exist"):
        settings.load(tmp_path / "none.toml", {})
