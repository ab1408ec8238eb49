"""E-mail over SMTP (RFC 5321): one connection kept open, and the point of no return between 354 and the body."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from typing import Any, Final, NoReturn

from campaigns.channels.base import Crossing, Message, Receipt, Silence, Transport, TransportError
from campaigns.channels.mime import ascii_address, compose
from engine.config import Mail

END_OF_DATA_SECONDS: Final = 600  # RFC 5321 4.5.3.2.6; a shorter wait makes duplicates of slow answers
_LEADING_DOT: Final = re.compile(rb"(?m)^\.")
_STATUS: Final = re.compile(
    r"[45]\.\d{1,3}\.\d{1,3}(?=\s|\Z)"
)  # RFC 2034: first word; elsewhere it may be an IP address
_LOG_IN: Final = {530, 534, 535, 538}  # RFC 4954
_POLICY: Final = {"5.1.7", "5.1.8", "5.7.8", "5.7.9"} | {  # our sender address or our log-in
    f"5.7.{detail}"  # our SPF, DKIM, DMARC, reverse DNS (RFC 7372, Gmail's 5.7.26) and Outlook's bans and 5.7.515
    for detail in (*range(20, 28), 501, 502, 503, 509, 511, 515)
}


class Smtp(Transport):
    """One SMTP connection, opened at the first message and after every break."""

    def __init__(self, settings: Mail) -> None:
        self._settings = settings
        self._client: smtplib.SMTP | None = None

    def send(self, message: Message, crossing: Crossing) -> Receipt:
        """See Transport."""
        content, recipient = compose(message), ascii_address(message.to)
        client = self._envelope(ascii_address(message.from_address), recipient)
        self._command(client, "data", accept=354)
        try:
            crossing()
        except BaseException:
            self.close()  # after 354 the only way not to send is to hang up
            raise
        return self._body(client, content)

    def close(self) -> None:
        """Hang up."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _body(self, client: smtplib.SMTP, content: bytes) -> Receipt:
        try:
            client.send(_LEADING_DOT.sub(b"..", content).removesuffix(b"\r\n") + b"\r\n.\r\n")
            _wait(client, END_OF_DATA_SECONDS)
            code, reply = client.getreply()
            _wait(client, self._settings.smtp_timeout_seconds)
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise Silence(f"No answer to the end of the data: {error}") from error
        if not 200 <= code < 600 or 300 <= code < 400:
            self.close()
            raise Silence(f"The answer to the end of the data was no SMTP reply: {code}")
        if code >= 400:
            self._refused("data", code, reply)
        return Receipt(provider_id=_words(reply)[:128])

    def _envelope(self, sender: str, recipient: str) -> smtplib.SMTP:
        """An open connection with MAIL and RCPT accepted. One that broke while it was idle is opened again."""
        if self._client is not None:
            try:
                return self._address(self._client, sender, recipient)
            except TransportError as error:
                if self._client is not None or error.concerns != "transport":
                    raise
        return self._address(self._connect(), sender, recipient)

    def _address(self, client: smtplib.SMTP, sender: str, recipient: str) -> smtplib.SMTP:
        self._command(client, "mail", f"FROM:<{sender}>")
        self._command(client, "rcpt", f"TO:<{recipient}>")
        return client

    def _command(self, client: smtplib.SMTP, verb: str, argument: str = "", *, accept: int = 250) -> None:
        try:
            code, reply = client.docmd(verb, argument)
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise TransportError(f"The SMTP connection broke: {error}", concerns="transport") from error
        if code // 10 != accept // 10:
            self._refused(verb, code, reply)

    def _refused(self, verb: str, code: int, reply: bytes) -> NoReturn:
        """Leave the connection ready for the next message, then raise what the answer means."""
        error = refusal(verb, code, _words(reply))
        if code == 421 or not 400 <= code < 600:
            self.close()
        elif self._client is not None:
            try:
                self._client.rset()
            except (OSError, smtplib.SMTPException):
                self.close()
        raise error

    def _connect(self) -> smtplib.SMTP:
        where = f"{self._settings.smtp_host}:{self._settings.smtp_port}"
        client: smtplib.SMTP | None = None
        try:
            client = self._open()
            self._log_in(client)
        except smtplib.SMTPResponseException as error:
            _hang_up(client)
            raise refusal("connect", error.smtp_code, f"{where}: {_words(error.smtp_error)}") from error
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            _hang_up(client)
            raise TransportError(f"{where}: {error}", concerns="account") from error
        except (OSError, smtplib.SMTPException) as error:
            _hang_up(client)
            raise TransportError(f"{where} does not answer: {error}", concerns="transport") from error
        self._client = client
        return client

    def _open(self) -> smtplib.SMTP:
        settings = self._settings
        name = settings.from_address.rpartition("@")[2].encode("idna").decode()
        where: dict[str, Any] = {"local_hostname": name, "timeout": settings.smtp_timeout_seconds}
        if settings.smtp_security == "tls":
            where["context"] = ssl.create_default_context()
        kind = smtplib.SMTP_SSL if settings.smtp_security == "tls" else smtplib.SMTP
        return kind(settings.smtp_host, settings.smtp_port, **where)

    def _log_in(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        if self._settings.smtp_security == "starttls":
            client.starttls(context=ssl.create_default_context())
        if self._settings.smtp_user:
            client.login(self._settings.smtp_user, self._settings.smtp_password)


def refusal(verb: str, code: int, words: str) -> TransportError:
    """What a 4xx or 5xx answer to `verb` (connect, mail, rcpt, data) means for this message and for us."""
    found = _STATUS.match(words)
    status = found.group() if found else ""
    text = f"{code} {words}"
    if code in _LOG_IN or status in _POLICY:
        return TransportError(text, concerns="account")
    if code == 421 or not 400 <= code < 600 or (code < 500 and verb in ("connect", "mail")):
        return TransportError(text, concerns="transport")
    if code < 500:
        return TransportError(text)
    if verb in ("connect", "mail"):  # it is us who are refused, not one recipient
        return TransportError(text, concerns="account")
    return TransportError(text, permanent=True, suppress="bounce" if status.startswith("5.1.") else None)


def _wait(client: smtplib.SMTP, seconds: float) -> None:
    if client.sock is not None:
        client.sock.settimeout(seconds)


def _hang_up(client: smtplib.SMTP | None) -> None:
    if client is not None:
        with contextlib.suppress(OSError):
            client.close()


def _words(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return " ".join(text.split())
