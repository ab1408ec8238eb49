"""SMTP against real servers: the point of no return, and what every answer means."""

from __future__ import annotations

import datetime
import email.policy
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from campaigns.channels.base import Fenced, Receipt, Silence, TransportError
from campaigns.channels.smtp import Smtp, refusal
from engine.config import Mail
from tests.sink import Sink
from tests.torture.ledger import message


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    with Sink(tmp_path / "sink.log") as sink:
        yield sink


@pytest.fixture
def smtp(sink: Sink) -> Iterator[Smtp]:
    transport = Smtp(Mail(smtp_port=sink.port, smtp_timeout_seconds=5))
    yield transport
    transport.close()


def send(transport: Smtp, to: str = "a@x.example", send_id: int = 1) -> tuple[Receipt | Exception, bool]:
    """What came of it, and whether it crossed."""
    crossed = []
    try:
        return transport.send(message(send_id, "email", to), lambda: crossed.append(True)), bool(crossed)
    except (TransportError, Silence) as error:
        return error, bool(crossed)


def test_accepted(sink: Sink, smtp: Smtp) -> None:
    """The answer to the end of the data is the receipt; a second message takes the same connection."""
    assert send(smtp, send_id=1) == (Receipt("2.0.0 queued as 7"), True)
    client = smtp._client
    assert send(smtp, send_id=2) == (Receipt("2.0.0 queued as 7"), True)
    assert smtp._client is client
    assert sink.accepted() == {1: 1, 2: 1}


def test_a_fence_after_354_sends_nothing(sink: Sink, smtp: Smtp) -> None:
    """After 354 the only way not to send is to hang up; the next message takes a new connection."""

    def fence() -> None:
        raise Fenced("suppressed")

    with pytest.raises(Fenced):
        smtp.send(message(1, "email", "a@x.example"), fence)
    assert send(smtp, send_id=2)[1]
    assert sink.accepted() == {2: 1}


@pytest.mark.parametrize(
    ("to", "crossed", "permanent", "suppress", "concerns"),
    [
        ("later@x.example", False, False, None, "message"),
        ("bad@x.example", False, True, "bounce", "message"),
        ("full@x.example", True, False, None, "message"),
        ("rude@x.example", True, True, None, "message"),
        ("policy@x.example", True, False, None, "account"),
        ("leaving@x.example", True, False, None, "transport"),
    ],
)
def test_answers_in_words(
    smtp: Smtp, sink: Sink, to: str, crossed: bool, permanent: bool, suppress: str | None, concerns: str
) -> None:
    """4xx is tried again, 5xx is not, 5.1.x suppresses, 5.7.26 is about us; the connection serves the next message."""
    error, did = send(smtp, to)
    assert isinstance(error, TransportError)
    assert (error.permanent, error.suppress, error.concerns, did) == (permanent, suppress, concerns, crossed)
    assert send(smtp, send_id=2)[1]
    assert sink.accepted() == {2: 1}


@pytest.mark.parametrize(("to", "arrived"), [("dropafter@x.example", {1: 1}), ("dropbefore@x.example", {})])
def test_a_connection_lost_after_the_body_is_silence(smtp: Smtp, sink: Sink, to: str, arrived: dict[int, int]) -> None:
    """Both look the same from here, and only one arrived."""
    error, crossed = send(smtp, to)
    assert (type(error), crossed) == (Silence, True)
    assert sink.accepted() == arrived


def test_an_idle_connection_that_was_closed_is_opened_again(tmp_path: Path) -> None:
    """A server that hangs up between two messages costs no attempt."""
    with Sink(tmp_path / "sink.log", idle=0.05) as sink:
        transport = Smtp(Mail(smtp_port=sink.port, smtp_timeout_seconds=5))
        for send_id in (1, 2):
            assert send(transport, send_id=send_id)[1]
            time.sleep(0.15)
        transport.close()
    assert sink.accepted() == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("faults", "user", "concerns"),
    [({"busy": 1}, "", "transport"), ({"login": 1}, "shop", "account"), ({}, "shop", "account")],
)
def test_no_connection(tmp_path: Path, faults: dict[str, float], user: str, concerns: str) -> None:
    """Busy is tried again later; a refused or impossible log-in needs a human. Nothing crossed."""
    with Sink(tmp_path / "sink.log", **faults) as sink:
        settings = Mail(smtp_port=sink.port, smtp_user=user, smtp_password="hush", smtp_timeout_seconds=5)
        error, crossed = send(Smtp(settings))
    assert isinstance(error, TransportError)
    assert (error.concerns, crossed) == (concerns, False)
    assert "hush" not in str(error)


def test_nobody_listens() -> None:
    """A refused connection is the transport's trouble, not the message's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error, crossed = send(Smtp(Mail(smtp_port=free.getsockname()[1])))
    assert isinstance(error, TransportError)
    assert (error.concerns, crossed) == ("transport", False)


@pytest.mark.parametrize(
    ("verb", "code", "words", "concerns", "permanent", "suppress"),
    [
        ("mail", 451, "4.3.0 try later", "transport", False, None),
        ("mail", 553, "5.1.8 sender's domain does not exist", "account", False, None),
        ("mail", 550, "not allowed", "account", False, None),
        ("connect", 554, "5.7.1 your address is on a list", "account", False, None),
        ("rcpt", 530, "5.7.0 log in first", "account", False, None),
        ("rcpt", 421, "4.7.0 bye", "transport", False, None),
        ("rcpt", 550, "5.7.515 access denied, DMARC", "account", False, None),
        ("rcpt", 550, "5.1.10 recipient not found", "message", True, "bounce"),
        ("rcpt", 554, "5.7.1 relay access denied", "message", True, None),
        ("rcpt", 552, "5.2.2 over quota", "message", True, None),
        ("data", 550, "5.7.261 not a status we know", "message", True, None),
        ("rcpt", 550, "Message from 203.5.1.2 rejected by policy", "message", True, None),
        ("rcpt", 550, "5.1.2.3 is on our list", "message", True, None),
    ],
)
def test_refusal(verb: str, code: int, words: str, concerns: str, permanent: bool, suppress: str | None) -> None:
    """Codes as in RFC 3463, 4954 and 7372 and the two large providers' own."""
    error = refusal(verb, code, words)
    assert (error.concerns, error.permanent, error.suppress) == (concerns, permanent, suppress)


class Server(Controller):
    """On a free port."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class Inbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[tuple[Envelope, EmailMessage]] = []
        self.encrypted: list[bool] = []

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        parsed = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        self.mails.append((envelope, parsed))
        self.encrypted.append(session.ssl is not None)
        return "250 kept"


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
@pytest.mark.parametrize("trusted", [True, False])
def test_encryption_and_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str, trusted: bool) -> None:
    """STARTTLS and TLS check the certificate, then log in, then send; an unknown certificate needs a human."""
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    inbox = Inbox()

    def authenticate(*given: object) -> AuthResult:
        return AuthResult(success=given[-1] == LoginPassword(b"shop", b"hush"))

    options = {
        "none": {},
        "starttls": {"tls_context": context, "require_starttls": True},
        "tls": {"ssl_context": context},
    }[security]
    controller = Server(
        inbox, "127.0.0.1", 0, authenticator=authenticate, auth_required=True, auth_require_tls=False, **options
    )
    controller.start()
    try:
        settings = Mail(smtp_port=controller.port, smtp_security=security, smtp_user="shop", smtp_password="hush")
        transport = Smtp(replace(settings, smtp_timeout_seconds=5))
        result, crossed = send(transport, "b@x.example")
        transport.close()
    finally:
        controller.stop()
    if not trusted and security != "none":
        assert isinstance(result, TransportError)
        assert (result.concerns, crossed) == ("account", False)
        return
    assert result == Receipt("kept")
    envelope, parsed = inbox.mails[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("hello@shop.example", ["b@x.example"])
    assert parsed["Message-ID"] == "<1.c2lnbmVk@shop.example>"
    assert inbox.encrypted == [security == "starttls"], "a TLS port is encrypted before SMTP begins"
