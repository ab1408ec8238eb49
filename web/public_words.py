"""What public pages say, in the language of the form or of the reader's browser: strangers have no settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import request

from engine.sources.questions import LANGUAGES
from engine.values import Words

WORDS: Final = {
    "send": Words("Send", "提交"),
    "optional": Words("optional", "选填"),
    "choose": Words("Choose …", "请选择…"),
    "yes": Words("Yes", "是"),
    "no": Words("No", "否"),
    "check": Words("Please look at what is marked; all you typed is still here.",
                   "请检查标出的内容；您填写的内容都已保留。"),
    "again": Words("Please press the button once more; all you typed is still here.",
                   "请再按一次按钮；您填写的内容都已保留。"),
    "many": Words("Many answers came from here just now. Wait a few minutes and press the button again.",
                  "刚才来自此处的提交过多，请稍等几分钟后再按一次按钮。"),
    "thanks": Words("Thank you", "谢谢"),
    "thanks_text": Words("Your answer has arrived.", "您的回答已收到。"),
    "confirm_soon": Words("If something has to be confirmed, a message with a link is on its way to you.",
                          "如需确认，我们会向您发送一条带链接的消息。"),
    "closed": Words("This form is closed", "此表单已关闭"),
    "closed_text": Words("It takes no more answers. Thank you for your interest.",
                         "此表单不再接受提交，感谢您的关注。"),
    "gone": Words("There is no form here", "此处没有表单"),
    "gone_text": Words("Check the address, letter by letter.", "请逐个字母核对网址。"),
    "trap": Words("Leave this empty", "请勿填写"),
    "confirm": Words("Confirm", "确认"),
    "confirm_title": Words("One more step", "最后一步"),
    "confirm_consent": Words("You agree to this:", "您同意以下内容："),
    "confirm_facts": Words("Confirm that what you sent in “{title}” came from you.",
                           "请确认“{title}”中的内容由您提交。"),
    "confirm_address": Words("For {address}", "适用于 {address}"),
    "confirmed": Words("Confirmed", "已确认"),
    "confirmed_text": Words("Thank you, that was all.", "谢谢，已全部完成。"),
    "confirm_over": Words("This link is no longer good", "此链接已失效"),
    "confirm_over_text": Words("Fill the form in again, and confirm with the newest message.",
                               "请重新填写表单，并通过最新的消息确认。"),
    "code": Words("Your code", "输入代码"),
    "code_text": Words("Type the code that is printed on the flyer.", "请输入传单上印的代码。"),
    "code_label": Words("Code", "代码"),
    "code_go": Words("Go", "前往"),
    "code_unknown": Words("Nobody here knows the code {code}. Check it, letter by letter.",
                          "没有代码 {code}，请逐个字母核对。"),
    "code_closed": Words("The flyer with the code {code} is over.", "代码为 {code} 的传单活动已结束。"),
}  # fmt: skip

Say = Callable[..., str]


def speaker(language: str) -> Say:
    """say(name, **values) in a language."""

    def say(name: str, **values: str) -> str:
        return WORDS[name](language).format_map(values)

    return say


def of_browser() -> str:
    """The language a stranger's browser asks for, of those that we have."""
    best = request.accept_languages.best_match(["en", "zh", "zh-CN", "zh-Hans", "zh-TW"], "en")
    return LANGUAGES[1] if best.startswith("zh") else LANGUAGES[0]


def tag(language: str) -> str:
    """The language as HTML names it."""
    return "zh-CN" if language.startswith("zh") else "en"
