"""What a mail program reads is what was written, and no header can be smuggled in."""

from __future__ import annotations

import email.policy
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns.channels.base import TransportError
from campaigns.channels.mime import ascii_address, compose
from tests.torture.ledger import message

PLAIN = message(1, "email", "a@x.example")


def read(content: bytes) -> EmailMessage:
    parsed = BytesParser(policy=email.policy.default).parsebytes(content)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def lines(text: str) -> str:
    """With the line ends of the parser."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=80)


@given(text=TEXTS, html=TEXTS, subject=WORDS, name=WORDS)
@example(text=".\r\n..\n.", html="<p>.</p>\n.", subject="", name='"A" \\ <b@c>')
@example(text="a" * 5000, html="你好" * 2000, subject="春" * 80, name="Zoë, Ltd.")
@example(text=" trailing \t\n=\n", html="--=_rapport--", subject="=?utf-8?q?x?=", name="")
def test_what_is_written_is_read(text: str, html: str, subject: str, name: str) -> None:
    """Any text, in both parts, in the subject and in the sender's name comes out as it went in; lines stay short."""
    content = compose(replace(PLAIN, text=text, html=html, subject=subject, from_name=name))
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    parsed = read(content)
    plain, rich = parsed.iter_parts()
    for part, given_text in ((plain, text), (rich, html)):
        body = part.get_payload(decode=True)
        assert isinstance(body, bytes)
        assert lines(body.decode()) == lines(given_text)
    assert parsed["From"].addresses[0].addr_spec == "hello@shop.example"
    assert " ".join(str(parsed["Subject"]).split()) == " ".join(subject.split())


def test_the_headers() -> None:
    """Message-ID and unsubscribe headers go out to the letter; text comes before HTML."""
    parsed = read(compose(PLAIN))
    assert parsed["Message-ID"] == "<1.c2lnbmVk@shop.example>"
    assert parsed["List-Unsubscribe"] == "<https://shop.example/u/1.c2lnbmVk>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["Date"].datetime is not None
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]


def test_text_alone() -> None:
    """Without HTML there is one part."""
    parsed = read(compose(replace(PLAIN, html=None, text="grüß dich")))
    assert (parsed.get_content_type(), parsed.get_content().strip()) == ("text/plain", "grüß dich")


@given(st.text(min_size=1), st.sampled_from("\r\n\0\x0b\x0c\x1b\x7f"), st.sampled_from(["subject", "from_name", "X-A"]))
def test_no_value_breaks_out_of_its_header(text: str, control: str, where: str) -> None:
    """CR, LF, NUL and every other control character are refused wherever a value can stand."""
    value = f"{text}{control}Bcc: b@x.example"
    change = {"headers": {where: value}} if where == "X-A" else {where: value}
    with pytest.raises(TransportError, match="line break") as raised:
        compose(replace(PLAIN, **change))
    assert raised.value.permanent


@pytest.mark.parametrize("name", ["Bcc", "From", "to", "Content-Type", "X:Y", "X Y", "X\r\nY", ""])
def test_foreign_headers_are_no_others(name: str) -> None:
    """An extra header is one header, and not one that decides who gets the mail or how it is read."""
    with pytest.raises(TransportError):
        compose(replace(PLAIN, headers={name: "b@x.example"}))


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("a@x.example", "a@x.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a+b@例え.example", "a+b@xn--r8jz45g.example"),
    ],
)
def test_addresses_in_ascii(address: str, plain: str) -> None:
    """International domains go out in IDNA."""
    assert ascii_address(address) == plain


@pytest.mark.parametrize(
    "address",
    [
        "zoë@x.example",
        "a",
        "a@",
        "@x.example",
        "a b@x.example",
        "a@x.example>",
        "a@x\r\n.example",
        "a@x,b@y",
        f"{'a' * 65}@x",
    ],
)
def test_addresses_that_cannot_be_written(address: str) -> None:
    """What needs SMTPUTF8 or would break the envelope is refused with its reason."""
    with pytest.raises(TransportError, match="SMTP envelope") as raised:
        ascii_address(address)
    assert raised.value.permanent
