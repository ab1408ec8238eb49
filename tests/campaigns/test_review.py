"""A message looked over before it goes out: every fault at once, each with its field."""

from __future__ import annotations

from typing import Any

from campaigns import content
from campaigns.models import Campaign, Variant
from engine.config import Config

BUTTON = {"type": "button", "label": "Go", "url": "https://shop.example/"}


def review(config: Config, **given: Any) -> content.Review:
    """The review of an e-mail that is right but for what is given."""
    said = {"subject": "Hello", "preheader": "", "text": "", "blocks": [BUTTON], **given}
    return content.review(Campaign(channel=said.pop("channel", "email")), Variant(**said), config)


def test_nothing_to_say(config: Config) -> None:
    """A mail that is right has no faults and its destinations."""
    found = review(config)
    assert found == content.Review({}, ("https://shop.example/",))


def test_all_faults_at_once(config: Config) -> None:
    """Each block keeps its own place in what is said about it; what is right is not named."""
    blocks = [
        {"type": "heading", "text": ""},
        BUTTON,
        {"type": "text", "text": "Hi {{ nobody }}"},
        {"type": "button", "label": "Go", "url": "shop.example"},
        {"type": "text", "text": "{% if contact.city %}"},
    ]
    found = review(config, subject=" ", preheader="{{ contact.nam }}", blocks=blocks)
    assert list(found.faults) == [
        *("subject", "preheader", "blocks[0].text", "blocks[2].text", "blocks[3].url", "blocks[4].text")
    ]
    assert found.urls == ()


def test_what_to_know(config: Config) -> None:
    """Pictures without a description, and contact fields that are printed bare; those with a default are not named."""
    picture = {"type": "image", "src": "https://shop.example/a.png", "alt": "", "url": ""}
    text = {"type": "text", "text": "{{ contact.city }} {{ contact.first_name | default: 'you' }} {{ shop.name }}"}
    found = review(config, subject="{{contact.last_name}}", blocks=[BUTTON, picture, text])
    assert found.silent_images == ("blocks[1].alt",)
    assert found.bare_fields == ("city", "last_name")


def test_text_message(config: Config) -> None:
    """Of a text message only its text counts."""
    assert review(config, channel="sms", subject="", blocks=[], text="Come").faults == {}
    assert list(review(config, channel="sms", text="").faults) == ["text"]
    assert list(review(config, channel="sms", text="{{ x }}").faults) == ["text"]
