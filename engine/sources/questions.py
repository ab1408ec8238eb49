"""What a form asks and how an answer is read: the definition of a form, checked, and its types of questions.

A form's definition is JSON:

    {"title", "intro", "language": "en" | "zh_Hans_CN",
     "questions": [{"name", "label", "type", "required", "options", "target"}],
     "consents": {"email": wording, "sms": wording}, "double_opt_in": bool, "thanks", "redirect"}

`target` is where the answer goes: a column of contacts, `attributes.<name>`, or "" for the answer alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from engine.errors import Invalid, nearest
from engine.intake.kinds import KINDS
from engine.intake.values import NAME, NAME_WORDS, Rules, storable
from engine.models import CHANNELS
from engine.values import Words

LANGUAGES: Final = ("en", "zh_Hans_CN")
ORIGINS: Final = ("web", "survey")
MOST: Final = 50  # questions of a form, options of a question
LABEL: Final = 300  # characters of a label, an option
PROSE: Final = 2_000  # of an intro, a wording, a thank-you
ANSWER: Final = 1_000  # what intake takes as one property
OWN: Final = ("form", "email_consent", "sms_consent")  # properties of an answer that no question may be named

_PLAIN_HOST: Final = re.compile(
    r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?([/?#]|$)", re.ASCII | re.IGNORECASE
)
_ADDRESSES: Final = {"email": "email", "sms": "phone"}


@dataclass(frozen=True)
class Type:
    """How a question is put and its answer read. `read` gives what is stored, or raises Invalid or ValueError."""

    key: str
    label: Words
    read: Callable[[str, Rules], Any]
    fault: Words
    targets: tuple[str, ...] = ()  # columns of contacts it may fill, besides own attributes
    options: bool = False


def _text(given: str, _rules: Rules) -> str:
    if len(given) > ANSWER:
        raise ValueError(given)
    return storable(given)


def _column(name: str) -> Callable[[str, Rules], Any]:
    column = KINDS["contacts"].column(name)
    assert column is not None
    return column.type.parse


def _number(given: str, _rules: Rules) -> int | float:
    plain = given.replace(",", ".") if given.count(",") == 1 and "." not in given else given
    if not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?", plain, re.ASCII):
        raise ValueError(given)
    value = float(plain)
    return int(value) if value == int(value) else value


def _date(given: str, _rules: Rules) -> str:
    day = date.fromisoformat(given)
    if not 1900 <= day.year <= 2199:
        raise ValueError(given)
    return day.isoformat()


def _yes_no(given: str, _rules: Rules) -> bool:
    return {"yes": True, "no": False}[given]


_WORDS = ("first_name", "last_name", "city", "region", "country", "postcode", "education", "language")
_LONG: Final = Words(f"Please keep this under {ANSWER:,} characters.", f"请控制在{ANSWER}个字符以内。")
_CHOSEN: Final = Words("Please choose one of the answers.", "请从选项中选择。")

TYPES: Final = {
    row.key: row
    for row in (
        Type("text", Words("Short text", "短文本"), _text, _LONG, _WORDS),
        Type("email", Words("E-mail address", "电子邮箱"), _column("email"),
             Words("This is not an e-mail address; write it like ann@example.com.",
                   "这不是有效的电子邮箱，请写成 ann@example.com 的形式。"), ("email",)),
        Type("phone", Words("Telephone", "电话"), _column("phone"),
             Words("This is not a telephone number; write it like +442071838750.",
                   "这不是有效的电话号码，请写成 +8613800000000 的形式。"), ("phone",)),
        Type("number", Words("Number", "数字"), _number,
             Words("Please write a number, like 12 or 2.5.", "请填写数字，例如 12 或 2.5。"),
             ("age", "household_size", "income")),
        Type("date", Words("Date", "日期"), _date,
             Words("Please write a date, like 1980-03-31.", "请填写日期，例如 1980-03-31。"), ("birth_date",)),
        Type("yes_no", Words("Yes or no", "是或否"), _yes_no, _CHOSEN),
        Type("one", Words("One of several", "单选"), _text, _CHOSEN, _WORDS, options=True),
        Type("several", Words("Several of them", "多选"), _text, _CHOSEN, options=True),
        Type("long", Words("Long text", "长文本"), _text, _LONG),
    )
}  # fmt: skip

MISSING: Final = Words("Please fill this in.", "请填写此项。")
REFUSED: Final = Words("This cannot be right; please check it.", "此项似乎有误，请检查。")


@dataclass(frozen=True)
class Question:
    """One question; `name` is its answer's among the properties of the event."""

    name: str
    label: str
    type: str
    required: bool = False
    options: tuple[str, ...] = ()
    target: str = ""

    @property
    def kind(self) -> Type:
        """Its row of TYPES."""
        return TYPES[self.type]


@dataclass(frozen=True)
class Definition:
    """A form, checked."""

    title: str
    intro: str
    language: str
    questions: tuple[Question, ...]
    consents: Mapping[str, str]  # channel -> wording, for those that are asked
    double_opt_in: bool
    thanks: str
    redirect: str

    def json(self) -> dict[str, Any]:
        """As it is stored."""
        plain = asdict(self)
        return plain | {"questions": [asdict(question) | {"options": list(question.options)}
                                      for question in self.questions]}  # fmt: skip

    def address(self, channel: str) -> Question | None:
        """The question for the address on a channel."""
        wanted = _ADDRESSES[channel]
        return next((question for question in self.questions if question.target == wanted), None)


def parse(given: Mapping[str, Any]) -> Definition:
    """Check a definition; raises Invalid with the path to the first fault."""
    language = _one_of(given.get("language", LANGUAGES[0]), LANGUAGES, "language")
    questions = _questions(given.get("questions"))
    consents = {
        channel: wording
        for channel, wording in ((c, _words(given.get("consents") or {}, c, PROSE, f"consents.{c}")) for c in CHANNELS)
        if wording
    }
    definition = Definition(
        title=_words(given, "title", LABEL, "title", required=True),
        intro=_words(given, "intro", PROSE, "intro"),
        language=language,
        questions=questions,
        consents=consents,
        double_opt_in=bool(given.get("double_opt_in", True)),
        thanks=_words(given, "thanks", PROSE, "thanks"),
        redirect=_check_redirect(_words(given, "redirect", 1024, "redirect")),
    )
    for channel in consents:
        if definition.address(channel) is None:
            wanted = {"email": "an e-mail address", "sms": "a telephone number"}[channel]
            raise Invalid(f"Ask for {wanted}, too: without it this consent is worth nothing.",
                          field=f"consents.{channel}")  # fmt: skip
    return definition


def read(
    questions: Sequence[Question], given: Mapping[str, Sequence[str]], rules: Rules
) -> tuple[dict[str, Any], dict[str, Words]]:
    """Answers by question, and faults by question; an empty answer is none. `given` are the texts of a form."""
    values: dict[str, Any] = {}
    faults: dict[str, Words] = {}
    for question in questions:
        texts = [text for text in map(str.strip, given.get(question.name, ())) if text]
        if texts:
            _read(question, texts, rules, values, faults)
        elif question.required:
            faults[question.name] = MISSING
    return values, faults


def check_https(address: str, field: str, own: str = "") -> str:
    """A https address, or one of the server's `own`, or "" for none; raises Invalid."""
    if not address:
        return ""
    try:
        KINDS["items"].column("url").type.parse(address, None)  # type: ignore[union-attr, arg-type]
    except Invalid as error:
        raise Invalid(error.message, field=field) from None
    if "@" in urlsplit(address).netloc:  # what stands before it looks like the host, and is none
        raise Invalid("This must be an address without a user's name and @ before its host.", field=field)
    is_ours = bool(own) and address.startswith(f"{own.rstrip('/')}/")
    if not (address.startswith("https://") or is_ours) or not address.isascii() or "\\" in address:
        raise Invalid("This must be an address that begins with https://, in plain letters.", field=field)
    return address


def _check_redirect(address: str) -> str:
    """A https address of a plain host: the host becomes a word of the form's Content-Security-Policy."""
    if address and not _PLAIN_HOST.match(check_https(address, "redirect")):
        raise Invalid("The address of a redirect has a plain host, like https://shop.example/thanks.", field="redirect")
    return address


def slug(label: str) -> str:
    """A name made of a label."""
    words = re.sub(r"\W+", "_", label.lower()).strip("_")[:40].rstrip("_")
    return words if words and NAME.fullmatch(words) else ""


def _read(
    question: Question, texts: Sequence[str], rules: Rules, values: dict[str, Any], faults: dict[str, Words]
) -> None:
    kind = question.kind
    if kind.options and not set(texts) <= set(question.options):
        faults[question.name] = kind.fault
        return
    try:
        several = question.type == "several"
        value = list(dict.fromkeys(kind.read(one, rules) for one in texts)) if several else kind.read(texts[0], rules)
    except (Invalid, ValueError, KeyError):
        faults[question.name] = kind.fault
        return
    column = KINDS["contacts"].column(question.target) if question.target else None
    try:
        if column is not None:
            column.type.parse(value, rules)
        values[question.name] = value
    except Invalid:
        faults[question.name] = REFUSED


def _questions(given: Any) -> tuple[Question, ...]:
    if not isinstance(given, list) or not given:
        raise Invalid("A form asks at least one question.", field="questions")
    if len(given) > MOST:
        raise Invalid(f"A form asks at most {MOST} questions.", field="questions")
    found: list[Question] = []
    for place, row in enumerate(given):
        question = _question(row, f"questions[{place}]", {question.name for question in found})
        if question.target and question.target in {other.target for other in found}:
            raise Invalid("Another question fills this already.", field=f"questions[{place}].target")
        found.append(question)
    return tuple(found)


def _question(given: Any, path: str, taken: set[str]) -> Question:
    if not isinstance(given, Mapping):
        raise Invalid("This is not an object.", field=path)
    label = _words(given, "label", LABEL, f"{path}.label", required=True)
    kind = TYPES[_one_of(given.get("type", "text"), TYPES, f"{path}.type")]
    target = _target(given, kind, path)
    name = _words(given, "name", 64, f"{path}.name") or _name(label, target, taken)
    if not NAME.fullmatch(name) or name in OWN:
        raise Invalid(f"Write the name with {NAME_WORDS}; {', '.join(OWN)} are taken.", field=f"{path}.name")
    if name in taken:
        raise Invalid("Another question has this name.", field=f"{path}.name")
    options = _options(given.get("options"), f"{path}.options") if kind.options else ()
    return Question(name, label, kind.key, bool(given.get("required")), options, target)


def _target(given: Mapping[str, Any], kind: Type, path: str) -> str:
    target = _words(given, "target", 80, f"{path}.target")
    if kind.key in ("email", "phone") and not target:
        return kind.targets[0]  # an address is always somebody's
    allowed = not target or target in kind.targets
    if not allowed and (not target.startswith("attributes.") or KINDS["contacts"].column(target) is None):
        raise Invalid(
            f"An answer of this type cannot go there.{nearest(target, (*kind.targets, 'attributes.<name>'))}",
            field=f"{path}.target",
        )
    return target


def _name(label: str, target: str, taken: set[str]) -> str:
    wanted = target.rpartition(".")[2] or slug(label) or "answer"
    wanted = f"{wanted}_" if wanted in OWN else wanted
    return next(name for name in (wanted, *(f"{wanted}_{n}" for n in range(2, MOST + 2))) if name not in taken)


def _options(given: Any, path: str) -> tuple[str, ...]:
    rows = given if isinstance(given, list) else []
    options = tuple(dict.fromkeys(str(row).strip() for row in rows if str(row).strip()))
    if not 2 <= len(options) <= MOST:
        raise Invalid(f"Give 2 to {MOST} different options, one a line.", field=path)
    for option in options:
        if len(option) > LABEL:
            raise Invalid(f"An option has at most {LABEL} characters.", field=path)
        _storable(option, path)
    return options


def _words(given: Mapping[str, Any], name: str, limit: int, path: str, *, required: bool = False) -> str:
    value = given.get(name) or ""
    if not isinstance(value, str):
        raise Invalid("This must be a text.", field=path)
    words = value.strip()
    if required and not words:
        raise Invalid("This must not be empty.", field=path)
    if len(words) > limit:
        raise Invalid(f"This has {len(words):,} characters; {limit:,} are allowed.", field=path)
    return _storable(words, path)


def _storable(words: str, path: str) -> str:
    try:
        return storable(words)
    except Invalid as error:
        raise Invalid(f"This {error.message}", field=path) from None


def _one_of(given: Any, known: Any, path: str) -> str:
    if not isinstance(given, str) or given not in known:
        raise Invalid(f"'{str(given)[:40]}' is none of these.{nearest(str(given)[:40], known)}", field=path)
    return given
