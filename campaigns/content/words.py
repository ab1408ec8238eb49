"""The few sentences that Rapport itself adds to a message, in the shop's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "why": "You receive this e-mail because you agreed to hear from {shop}.",
        "unsubscribe": "Unsubscribe",
        "view": "View in browser",
        "stop": "Reply STOP to opt out",
    },
    "zh_Hans_CN": {
        "why": "您收到这封邮件，是因为您同意接收{shop}的消息。",
        "unsubscribe": "退订",
        "view": "在浏览器中查看",
        "stop": "回复STOP退订",
    },
}
