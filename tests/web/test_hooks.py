"""What carriers tell: genuine calls count once, everybody else changes nothing."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from campaigns import tokens
from campaigns.models import Send
from engine import config as settings
from engine import consent
from engine.config import Config
from engine.errors import ConfigError
from engine.models import Contact, Event, Suppression
from tests.campaigns import shop
from web import hooks, limits
from web.app import create_app
from web.services import Services, utcnow

PHONE = "+447946000001"


def public(key: Any) -> str:
    """A public key as SendGrid shows it: the Base64 of its DER, in one line."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def app_with(services: Services, **sections: Any) -> FlaskClient:
    """A stranger at the same shop with other settings."""
    return create_app(replace(services, config=replace(services.config, **sections))).test_client()


def reference(services: Services, send_id: int) -> str:
    """What our transport gives SendGrid as custom_args.mid."""
    return f"{tokens.signer(services.config).sign('message', send_id)}@shop.example"


class SendGrid:
    """SendGrid's side: signs what it posts as its documentation says."""

    def __init__(self, services: Services) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.client = app_with(services, sendgrid=settings.SendGridConfig(webhook_public_key=public(self.key)))
        self.services = services

    def event(self, send_id: int, kind: str, **given: Any) -> dict[str, Any]:
        """An event as it comes, about a send of ours."""
        return {
            "email": "whoever@elsewhere.example",  # never looked at
            "timestamp": 1_772_000_000,
            "event": kind,
            "sg_event_id": f"id-{kind}-{send_id}",
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            "mid": reference(self.services, send_id),
            **({"type": "bounce"} if kind == "bounce" else {}),
            **given,
        }

    def headers(self, body: bytes, *, age: float = 0.0, key: Any = None) -> dict[str, str]:
        """The signature of `body`, `age` seconds old."""
        timestamp = str(int(utcnow().timestamp() - age))
        mac = (key or self.key).sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(mac).decode(),
        }

    def posts(self, body: bytes, headers: dict[str, str]) -> TestResponse:
        """Call us."""
        return self.client.post("/hooks/sendgrid", data=body, headers=headers, content_type="application/json")

    def tells(self, *events: Any) -> int:
        """Post a batch; the status of the answer."""
        body = json.dumps(events).encode()
        return self.posts(body, self.headers(body)).status_code


@pytest.fixture
def sendgrid(services: Services) -> SendGrid:
    """SendGrid, whose key we know."""
    return SendGrid(services)


@pytest.fixture
def sends(services: Services, now: datetime) -> list[int]:
    """Mails that three people have had for an hour."""
    return mailed(services, now, 3)


def mailed(services: Services, now: datetime, people: int, **given: Any) -> list[int]:
    """The sends of a campaign to so many people, gone out an hour ago."""
    with services.database.begin() as session:
        firing = shop.fire(session, shop.campaign(session, now, **given), shop.crowd(session, people, now), now)
        shop.accept(session, firing, now - timedelta(hours=1))
        return list(session.scalars(select(Send.id).order_by(Send.id)))


def outcomes(services: Services) -> list[str | None]:
    """Of all sends, in their order."""
    with services.database.read() as session:
        return list(session.scalars(select(Send.outcome).order_by(Send.id)))


def noted(services: Services) -> tuple[dict[str, str], list[str]]:
    """Suppressed addresses with the reason, types of all events."""
    with services.database.read() as session:
        suppressed = session.execute(select(Suppression.address, Suppression.reason)).all()
        return dict(suppressed), list(session.scalars(select(Event.type).order_by(Event.id)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "outcome", "suppressed", "type_"),
    [
        ({"event": "processed"}, None, None, None),
        ({"event": "deferred", "response": "400 try again later"}, None, None, None),
        ({"event": "delivered", "response": "250 OK"}, "delivered", None, None),
        ({"event": "bounce", "type": "bounce", "reason": "550 5.1.1 who?"}, "bounced", "bounce", "bounce"),
        ({"event": "bounce", "type": "blocked", "reason": "550 5.7.1 reputation"}, "bounced", None, "bounce"),
        ({"event": "bounce"}, "bounced", None, "bounce"),
        ({"event": "dropped", "reason": "Bounced Address"}, "bounced", "bounce", "bounce"),
        ({"event": "dropped", "reason": "Invalid"}, "bounced", "bounce", "bounce"),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, "bounced", "unsubscribe", "bounce"),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, "bounced", "complaint", "bounce"),
        ({"event": "dropped", "reason": "Spam Content"}, "bounced", None, "bounce"),
        ({"event": "spamreport"}, "complained", "complaint", "complaint"),
        ({"event": "unsubscribe"}, "unsubscribed", "unsubscribe", "unsubscribe"),
        ({"event": "group_unsubscribe", "asm_group_id": 10}, "unsubscribed", "unsubscribe", "unsubscribe"),
        ({"event": "group_resubscribe", "asm_group_id": 10}, None, None, None),
        ({"event": "open", "useragent": "Mozilla/5.0"}, None, None, None),
        ({"event": "click", "url": "https://shop.example/"}, None, None, None),
        ({"event": "account_status_change", "type": "compliance_suspend"}, None, None, None),
        ({"event": ["bounce"]}, None, None, None),
    ],
)
def test_what_sendgrid_tells(
    services: Services,
    sendgrid: SendGrid,
    sends: list[int],
    given: dict[str, Any],
    outcome: str | None,
    suppressed: str | None,
    type_: str | None,
) -> None:
    """Each event at the send that its reference names, whatever address stands beside it; opens and clicks are ours."""
    told = {"timestamp": 1_772_000_000, "email": "c1@x.example", "mid": reference(services, sends[1]), **given}
    assert sendgrid.tells(told) == 204
    assert outcomes(services) == [None, outcome, None]
    assert noted(services) == ({"c2@x.example": suppressed} if suppressed else {}, [type_] if type_ else [])
    with services.database.read() as session:
        said_no = suppressed in ("unsubscribe", "complaint")
        assert list(session.scalars(select(Contact.email_consent).order_by(Contact.id))) == [True, not said_no, True]


def test_duplicates_and_disorder(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """The same batch again, the same event under a new id, an older word after a newer one: as told once in order."""
    batch = [
        sendgrid.event(sends[0], "bounce"),
        sendgrid.event(sends[1], "spamreport"),
        sendgrid.event(sends[0], "delivered"),
        sendgrid.event(sends[0], "processed"),
    ]
    assert sendgrid.tells(*batch, *batch) == 204
    first = (outcomes(services), noted(services))
    assert first[0] == ["bounced", "complained", None]
    assert first[1] == ({"c1@x.example": "bounce", "c2@x.example": "complaint"}, ["bounce", "complaint"])
    renamed = [told | {"sg_event_id": f"again-{number}"} for number, told in enumerate(reversed(batch))]
    for again in (batch, renamed):
        assert sendgrid.tells(*again) == 204
    assert (outcomes(services), noted(services)) == first


def test_a_doubt_is_settled(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """A request to SendGrid whose answer was lost: it had come."""
    with services.database.begin() as session:
        session.get_one(Send, sends[0]).state = "unknown"
    assert sendgrid.tells(sendgrid.event(sends[0], "processed")) == 204
    with services.database.read() as session:
        assert session.get_one(Send, sends[0]).state == "accepted"


def test_events_that_are_not_about_us(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """Another system's on the same account, a guessed or altered reference, an address alone, an erased person's send,
    no event at all: ignored and counted; what stands beside them counts.
    """
    mine = reference(services, sends[0])
    foreign: list[Any] = [
        {"event": "spamreport", "email": "c1@x.example", "timestamp": 1},
        *(
            sendgrid.event(sends[0], "spamreport", mid=mid)
            for mid in (mine.replace("1.", "2.", 1), f"x{mine}", mine[5:], "", 7, None, "é")
        ),
        sendgrid.event(sends[0], "spamreport", mid="\ud800"),
        sendgrid.event(sends[0], "spamreport", mid=tokens.signer(services.config).sign("unsubscribe", sends[0])),
    ]

    def counted(outcome: str) -> float:
        told = {"carrier": "sendgrid", "outcome": outcome}
        return REGISTRY.get_sample_value("rapport_notices_total", told) or 0.0

    before = counted("unknown"), counted("ignored"), counted("delivered")
    gone = sendgrid.event(77, "spamreport")
    assert sendgrid.tells(*foreign, "spamreport", None, [], gone, sendgrid.event(sends[1], "delivered")) == 204
    assert outcomes(services) == [None, "delivered", None]
    assert noted(services) == ({}, [])
    now = counted("unknown"), counted("ignored"), counted("delivered")
    assert [after - then for after, then in zip(now, before, strict=True)] == [1, len(foreign), 1]


def test_words_and_times_that_no_database_takes(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """A reason with NUL, half a letter or a book; a moment that is none: kept as far as can be, once."""
    times: list[Any] = [None, "soon", -5, 0, 2**200, 1.5, True, [], 2**37 - 1]
    for at in times * 2:
        assert (
            sendgrid.tells(sendgrid.event(sends[0], "bounce", reason="a\0b \ud800" + "x" * 5000, timestamp=at)) == 204
        )
    with services.database.read() as session:
        found = session.scalars(select(Event)).all()
        assert len(found) == 2  # without a time, and in a far future
        assert {one.properties["reason"][:6] for one in found} == {"a b ?x"}
        assert all(one.occurred_at <= utcnow() and len(one.properties["reason"]) == 200 for one in found)


def test_only_what_sendgrid_signed(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """Another key, a changed byte, a signature of another time or body, none, or nonsense: refused, nothing written."""
    body = json.dumps([sendgrid.event(sends[0], "spamreport")]).encode()
    good = sendgrid.headers(body)
    time_header, mac_header = good
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body, sendgrid.headers(body, key=ec.generate_private_key(ec.SECP256R1()))),
        (body.replace(b"spamreport", b"spamreporT"), good),
        (body + b" ", good),
        (body, good | {time_header: str(int(good[time_header]) + 1)}),
        (good[time_header][-1:].encode() + body, good | {time_header: good[time_header][:-1]}),  # same bytes, moved
        (b"", good),
        (b"\xff" + body, good),
        (body, {}),
        *((body, {name: value}) for name, value in good.items()),
        *(
            (body, good | {mac_header: mac})
            for mac in ("", "x", "AAAA====", "é" * 9, "A" * 5000, good[mac_header][:-8])
        ),
        *((body, good | {time_header: at}) for at in ("", "x", "-1", "1e9", "٣", " ", "9" * 400)),
    ]
    for data, headers in wrong:
        assert sendgrid.posts(data, headers).status_code in {400, 403}, (data, headers)
    assert (outcomes(services), noted(services)) == ([None] * 3, ({}, []))
    assert sendgrid.posts(body, good).status_code == 204
    assert outcomes(services)[0] == "complained"


def test_a_recorded_call_is_worth_nothing(services: Services, sendgrid: SendGrid, sends: list[int]) -> None:
    """Days later, or from the future: refused although it was signed."""
    body = json.dumps([sendgrid.event(sends[0], "delivered")]).encode()
    limit = hooks.FRESH.total_seconds()
    for age, why in ((limit + 60, "too old"), (7 * 86_400, "too old"), (-limit - 60, "of a time to come")):
        answer = sendgrid.posts(body, sendgrid.headers(body, age=age))
        assert (answer.status_code, why in answer.text) == (403, True), answer.text
    assert outcomes(services) == [None] * 3
    for age in (limit - 60, -limit + 60):  # a slow network, a clock that is not quite right
        assert sendgrid.posts(body, sendgrid.headers(body, age=age)).status_code == 204


@pytest.mark.parametrize(
    "body", [b"", b"[", b'[{"event": NaN}]', b'[{"a": 1, "a": 2}]', b"[" * 200_000, b"[" * 150 + b"]" * 150]
)
def test_a_signed_body_that_is_no_json(sendgrid: SendGrid, body: bytes) -> None:
    """400, no fault of ours."""
    assert sendgrid.posts(body, sendgrid.headers(body)).status_code == 400


@pytest.mark.parametrize("body", [b"{}", b"7", b'"x"', b"null"])
def test_a_signed_body_that_is_no_list(sendgrid: SendGrid, body: bytes) -> None:
    """Nothing that SendGrid sends: 400, or its events would be lost without a word."""
    answer = sendgrid.posts(body, sendgrid.headers(body))
    assert (answer.status_code, answer.text) == (400, "The body is no list of events.\n")


def test_a_signed_body_without_events(sendgrid: SendGrid) -> None:
    """Nothing to do."""
    assert sendgrid.posts(b"[]", sendgrid.headers(b"[]")).status_code == 204


def test_without_a_key_the_door_is_closed(client: FlaskClient, sendgrid: SendGrid) -> None:
    """404 for everybody, signed or not, and no word on what would open it."""
    for headers in (sendgrid.headers(b"[]"), {}):
        answer = client.post("/hooks/sendgrid", data=b"[]", headers=headers)
        assert (answer.status_code, answer.text) == (404, "There is nothing at this address.\n")


def test_carriers_get_no_page(client: FlaskClient, sendgrid: SendGrid, telephone: Telephone) -> None:
    """Every refusal is one line of text, those of the server and of other methods too."""
    answers = [
        (sendgrid.posts(b"[", sendgrid.headers(b"[")), 400),
        (sendgrid.posts(b"[]", {}), 403),
        (sendgrid.posts(b" " * (limits.API + 1), {}), 413),
        (client.post("/hooks/sendgrid"), 404),
        (client.post("/hooks/sms/x"), 403),
        (client.post("/sms/inbound", data={"From": "<b>"}), 403),
        (client.put("/sms/inbound"), 405),
    ]
    for answer, status in answers:
        assert (answer.status_code, answer.content_type) == (status, "text/plain; charset=utf-8"), answer.text
        assert answer.text.endswith("\n"), answer.text
        assert "<" not in answer.text


def test_a_key_that_is_none_stops_the_program() -> None:
    """Before anybody calls; a key of another kind too."""
    for key in ("AAAA", "=", public(rsa.generate_private_key(65537, 2048))):
        with pytest.raises(ConfigError, match="Verification Key") as caught:
            hooks.check(settings.build({"sendgrid": {"webhook_public_key": key}}))
        assert caught.value.field == "sendgrid.webhook_public_key"
    hooks.check(Config())
    hooks.check(
        Config(sendgrid=settings.SendGridConfig(webhook_public_key=public(ec.generate_private_key(ec.SECP256R1()))))
    )


def test_a_thousand_events(services: Services, sendgrid: SendGrid, now: datetime) -> None:
    """One call, one transaction, hardly more statements than for ten; larger than a stranger may send elsewhere."""
    sends = mailed(services, now, 1000)
    kinds = ("processed", "delivered", "bounce", "open", "spamreport", "group_unsubscribe")
    events = [sendgrid.event(i, kinds[n % 6], useragent="Mozilla/5.0 " * 8) for n, i in enumerate(sends)]
    assert limits.PUBLIC < len(json.dumps(events)) < limits.API
    statements: list[str] = []
    commits: list[object] = []
    event.listen(services.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    event.listen(services.database.engine, "commit", commits.append)
    assert sendgrid.tells(*events) == 204
    assert len(statements) < 40, len(statements)
    assert len(commits) == 1
    assert {
        kind: outcomes(services).count(kind) for kind in ("delivered", "bounced", "complained", "unsubscribed")
    } == {
        "delivered": 167,
        "bounced": 167,
        "complained": 166,
        "unsubscribed": 166,
    }
    assert len(noted(services)[0]) == 499


def test_a_call_that_is_too_large(sendgrid: SendGrid) -> None:
    """Refused by its size, before its signature is looked at."""
    assert sendgrid.posts(b" " * (limits.API + 1), {}).status_code == 413


class Telephone:
    """Twilio's side: signs what it posts as its documentation says."""

    def __init__(self, services: Services, token: str = "secret") -> None:
        self.services = services
        self.client = app_with(services, sms=settings.Sms(token="secret"))
        self.token = token

    def posts(self, path: str, form: dict[str, str], **changed: str) -> int:
        """Post the form, signed before it is changed; the status of the answer."""
        url = f"{self.services.config.server.public_url}{path}"
        signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
        mac = base64.b64encode(hmac.digest(self.token.encode(), signed.encode(), "sha1")).decode()
        answer = self.client.post(path, data={**form, **changed}, headers={"X-Twilio-Signature": mac})
        return answer.status_code

    def says(self, body: str, *, phone: str = PHONE, sid: str = "SM1", **changed: str) -> int:
        """Deliver a text that somebody wrote to us."""
        form = {"From": phone, "Body": body, "MessageSid": sid, "AccountSid": "AC1"}
        return self.posts("/sms/inbound", form, **changed)

    def tells(self, token: str, status: str, code: str | None = None, **changed: str) -> int:
        """What became of a text of ours, at the address that went out with it."""
        form = {"MessageSid": "SM1", "MessageStatus": status, "To": "+440000", **({"ErrorCode": code} if code else {})}
        return self.posts(f"/hooks/sms/{token}", form, **changed)


@pytest.fixture
def telephone(services: Services) -> Telephone:
    """A carrier with the right token."""
    return Telephone(services)


@pytest.fixture
def token(services: Services, now: datetime) -> Callable[[int], str]:
    """The token of a person's text message, by the person's place."""
    sends = mailed(services, now, 2, channel="sms")
    signer = tokens.signer(services.config)
    return lambda place: signer.sign("message", sends[place])


@pytest.mark.parametrize(
    ("status", "code", "outcome", "reason"),
    [
        ("queued", None, None, None),
        ("sent", None, None, None),
        ("delivered", None, "delivered", None),
        ("read", None, "delivered", None),
        ("undelivered", "30003", "bounced", None),
        ("undelivered", "30007", "bounced", None),
        ("undelivered", "30005", "bounced", "bounce"),
        ("failed", "30006", "bounced", "bounce"),
        ("failed", "21610", "bounced", "unsubscribe"),
        ("failed", "9" * 5000, "bounced", None),
        ("failed", "x", "bounced", None),
        ("failed", None, "bounced", None),
        ("delivered", "21610", "delivered", None),
        ("canceled", None, None, None),
        ("", None, None, None),
    ],
)
def test_what_became_of_a_text(
    services: Services,
    telephone: Telephone,
    token: Callable[[int], str],
    status: str,
    code: str | None,
    outcome: str | None,
    reason: str | None,
) -> None:
    """Each status at the send that the address names; a STOP suppresses, as does a number that is none; told twice."""
    assert [telephone.tells(token(1), status, code) for _ in range(2)] == [204, 204]
    assert outcomes(services) == [None, outcome]
    bounced = ["bounce"] if outcome == "bounced" else []
    assert noted(services) == ({"+447900000002": reason} if reason else {}, bounced)
    with services.database.read() as session:
        assert session.get_one(Contact, 2).sms_consent is (reason != "unsubscribe")
        assert session.get_one(Contact, 2).email_consent is True


def test_texts_in_disorder(services: Services, telephone: Telephone, token: Callable[[int], str]) -> None:
    """The carrier's calls overtake one another."""
    for status in ("undelivered", "delivered", "sent", "undelivered"):
        assert telephone.tells(token(0), status, "30005" if status == "undelivered" else None) == 204
    assert outcomes(services) == ["bounced", None]
    assert noted(services)[1] == ["bounce"]


def test_forged_words_on_texts(services: Services, telephone: Telephone, token: Callable[[int], str]) -> None:
    """A wrong token of the account, a changed word, another address than the signed one: refused; a send that is not
    ours, or gone: ignored.
    """
    assert Telephone(services, token="guess").tells(token(0), "failed", "21610") == 403
    assert telephone.tells(token(0), "delivered", MessageStatus="failed") == 403
    assert telephone.client.post(f"/hooks/sms/{token(0)}", data={"MessageStatus": "failed"}).status_code == 403
    assert app_with(services).post(f"/hooks/sms/{token(0)}", data={"MessageStatus": "failed"}).status_code == 403
    gone = tokens.signer(services.config).sign("message", 77)
    for other in ("1.AAAAAAAAAAAAAAAAAAAAAA", f"{token(0)}x", gone):
        assert telephone.tells(other, "failed", "21610") == 204
    assert (outcomes(services), noted(services)) == ([None, None], ({}, []))


def test_stop_by_text_message(services: Services, telephone: Telephone, now: datetime) -> None:
    """A signed STOP silences the number; a second delivery of the same text changes nothing."""
    with services.database.begin() as session:
        shop.contact(session, 1, now, phone=PHONE)
    assert [telephone.says("Stop."), telephone.says("Stop.")] == [200, 200]
    assert telephone.says("When do you open?", sid="SM2") == 200
    assert noted(services) == ({PHONE: "unsubscribe"}, ["unsubscribe", "sms_reply"])


def test_forged_text_messages_are_refused(services: Services, telephone: Telephone, client: FlaskClient) -> None:
    """No signature, a wrong token, a changed word, no token set: 403 and no row; a number that is none: 422."""
    forged = Telephone(services, token="guess")
    assert forged.says("STOP") == 403
    assert telephone.says("hello", Body="STOP") == 403
    assert telephone.says("STOP", phone="nobody") == 422
    assert telephone.client.post("/sms/inbound", data={"From": PHONE, "Body": "STOP"}).status_code == 403
    assert client.post("/sms/inbound", data={"From": PHONE, "Body": "STOP"}).status_code == 403
    with services.database.read() as session:
        assert not consent.is_suppressed(session, "sms", PHONE)
        assert session.scalar(select(func.count()).select_from(Event)) == 0
