"""The one table of columns: what may come in, kind by kind. Files, API, command line, docs and UI read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Final

from engine.errors import Invalid, nearest
from engine.identity.names import NAME_LIMIT
from engine.intake import values
from engine.intake.headers import FOREIGN
from engine.intake.values import Type
from engine.models import OWN_KEYS, Contact, Event, Item, Order

OPEN_LIMIT: Final = 200  # different names of the shop's own fields in one file or call


@dataclass(frozen=True)
class Column:
    """One column of a file, one field of an API record."""

    name: str
    type: Type
    doc: str
    example: str
    required: bool = False
    aliases: tuple[str, ...] = ()
    in_line: bool = False  # orders: belongs to the line, over the API to an element of `lines`
    lasting: bool = False  # nothing clears it: a word of its own (origin, consent), or never without a value


@dataclass(frozen=True)
class Kind:
    """A kind of record. `key` is the column that says which record it is; `open` takes the shop's own fields; `merges`:
    a record changes what it names of the thing that is there (others are replaced as a whole, or stay as they came).
    """

    name: str
    columns: tuple[Column, ...]
    key: str = "key"
    open: str | None = None
    one_of: tuple[str, ...] = ()  # at least one of these must have a value
    merges: bool = False

    def column(self, name: str) -> Column | None:
        """The column of this exact name, the shop's own fields included."""
        return self._by_name.get(name) or self._own_field(name)

    def find(self, header: str) -> Column | None:
        """The column a file's header means: by name or alias; case, blanks, - and _ do not matter."""
        return self._by_word.get(fold(header)) or self._own_field(header.strip())

    def unknown(self, name: str) -> Invalid:
        """Nobody knows this column."""
        if self.open and name.startswith(f"{self.open}."):
            words = f"{values.show(name)} is no name of an own field; write it with {values.NAME_WORDS}."
            return Invalid(words, field=name[:80])
        known = [*self._by_name, *([f"{self.open}.<name>"] if self.open else [])]
        return Invalid(f"There is no column {values.show(name)} in {self.name}.{nearest(name, known)}", field=name[:80])

    def found_by(self, name: str) -> Kind:
        """The same, where this column says which record it is; by customer number nobody need be known then."""
        if name == self.key:
            return self
        read = {column.name: column.type for column in _names()}
        columns = (
            replace(column, required=column.name == name, lasting=column.lasting or column.required,
                    type=read[name] if column.name == name else column.type)
            for column in self.columns
        )  # fmt: skip
        return replace(self, columns=tuple(columns), key=name)

    def clears(self, column: Column) -> bool:
        """A value of this column can be taken back."""
        return self.merges and not (column.required or column.lasting)

    @property
    def gathers(self) -> bool:
        """Several records make one thing (the lines of an order), which is taken or refused as a whole."""
        return any(column.in_line for column in self.columns)

    @property
    def required(self) -> Iterator[str]:
        """Names of the columns that must be there."""
        return (column.name for column in self.columns if column.required)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def _by_word(self) -> dict[str, Column]:
        foreign = FOREIGN.get(self.name, {})
        others = {fold(word): column for column in self.columns for word in foreign.get(column.name, ())}
        return others | {fold(word): column for column in self.columns for word in (column.name, *column.aliases)}

    def _own_field(self, name: str) -> Column | None:
        prefix, _, own = name.partition(".")
        if self.open is None or prefix.lower() != self.open or not values.NAME.fullmatch(own):
            return None
        return _own_column(f"{self.open}.{own}")


def fold(header: str) -> str:
    """A header as it is compared."""
    return re.sub(r"[\s_\-]+", "", header).casefold()


def kind(name: str) -> Kind:
    """The kind of this name; raises Invalid."""
    if name not in KINDS:
        raise Invalid(f"There is no kind '{name[:40]}'.{nearest(name, KINDS)}", field="kind")
    return KINDS[name]


@cache
def _own_column(name: str) -> Column:
    return Column(name, values.ATTRIBUTE, "A field of the shop's own.", "")


def _text(model: Any, name: str) -> Type:
    """Text as long as the database column is."""
    return values.text(model.__table__.c[name].type.length)


def _path(model: Any, name: str) -> Type:
    """A category path as long as the database column is."""
    return values.category(model.__table__.c[name].type.length)


_NO: Final = "A file's yes never overturns a no, nor does any yes while the address is suppressed."

_CARD: Final = values.text(NAME_LIMIT)

_CONTACTS = Kind(
    "contacts",
    (
        Column(
            "key",
            _text(Contact, "key"),
            "The shop's customer number.",
            "C-1001",
            required=True,
            aliases=("customer_id", "customer", "contact", "contact_id", "id"),
        ),
        Column("email", values.EMAIL, "Kept in lower case.", "ann@shop.example", aliases=("e-mail", "email_address")),
        Column("phone", values.PHONE, "Kept as E.164.", "+442071838750", aliases=("mobile", "telephone")),
        Column("first_name", _text(Contact, "first_name"), "Given name.", "Ann", aliases=("given_name", "firstname")),
        Column("last_name", _text(Contact, "last_name"), "Family name.", "Lee", aliases=("surname", "family_name")),
        Column("birth_date", values.DAY, "Goes before `age`.", "1980-03-31", aliases=("birthday", "date_of_birth")),
        Column("age", values.integer(0, 130), "In years, as declared.", "46"),
        Column("income", values.MONEY, "A year, in the shop's currency.", "38000"),
        Column("education", _text(Contact, "education"), "In the shop's own words.", "university"),
        Column("household_size", values.integer(0, 100), "People in the household.", "3"),
        Column(
            "household",
            _text(Contact, "household"),
            "The shop's number of the home; who shares it is one household.",
            "H-77",
            aliases=("household_id", "household_key", "household_number"),
        ),
        Column(
            "account",
            _text(Contact, "account"),
            "The company somebody buys for; its people are one account.",
            "ACME",
            aliases=("account_id", "account_key", "account_number", "company"),
        ),
        Column(
            "card",
            _CARD,
            "A loyalty card of theirs; what was bought with it is theirs. An earlier one stays.",
            "4711",
            aliases=("loyalty_card", "card_number"),
            lasting=True,
        ),
        Column("country", _text(Contact, "country"), "Country of residence.", "United Kingdom"),
        Column("region", _text(Contact, "region"), "State, county or province.", "Kent", aliases=("state", "county")),
        Column("city", _text(Contact, "city"), "Town.", "Dover", aliases=("town",)),
        Column("postcode", _text(Contact, "postcode"), "Postal code.", "CT16 1AA", aliases=("zip", "postal_code")),
        Column("language", _text(Contact, "language"), "Language of messages (BCP 47).", "en"),
        Column(
            "origin",
            _text(Contact, "origin"),
            "How the contact came in: web, survey, flyer, call, partner ...",
            "survey",
            aliases=("source",),
            lasting=True,
        ),
        Column(
            "email_consent",
            values.BOOLEAN,
            "May be written to; goes to the consent ledger. " + _NO,
            "true",
            lasting=True,
        ),
        Column(
            "sms_consent",
            values.BOOLEAN,
            "May be sent SMS; goes to the consent ledger. " + _NO,
            "false",
            lasting=True,
        ),
    ),
    open="attributes",
    merges=True,
)


def _names() -> tuple[Column, ...]:
    """The columns by which a contact is named when there is no customer number (engine.identity.names)."""
    beside = " Beside another name: the same person has it."
    address = values.within(values.EMAIL, NAME_LIMIT)
    rest = (
        ("card", _CARD, "Loyalty card: names", "4711", ("loyalty_card", "card_number")),
        ("email", address, "Without a card names", "ann@shop.example", ("e-mail", "email_address")),
        ("phone", values.PHONE, "Without both names", "+442071838750", ("mobile", "telephone")),
    )
    return tuple(
        Column(name, kind, f"{doc} who did it when `contact` does not.{beside}", example, aliases=aliases)
        for name, kind, doc, example, aliases in rest
    )


_ITEMS = Kind(
    "items",
    (
        Column(
            "key",
            _text(Item, "key"),
            "The shop's article number.",
            "85123A",
            required=True,
            aliases=("sku", "stock_code", "item", "item_id", "product_id", "id"),
        ),
        Column(
            "title", _text(Item, "title"), "Name shown to people.", "White lantern", aliases=("name", "description")
        ),
        Column(
            "category",
            _path(Item, "category"),
            "Path in the category tree.",
            "Home > Light > Lanterns",
        ),
        Column("brand", _text(Item, "brand"), "Maker.", "Lux"),
        Column("price", values.MONEY, "Of one unit, today.", "2.55", aliases=("unit_price",)),
        Column("cost", values.MONEY, "Of one unit, to the shop; makes margins known.", "1.10", aliases=("unit_cost",)),
        Column("currency", values.CURRENCY, "Default: the shop's.", "GBP", lasting=True),
        Column("stock", values.integer(), "Units at hand; empty: not counted.", "120", aliases=("inventory",)),
        Column("url", values.url(1024), "Page in the shop.", "https://shop.example/85123A", aliases=("link",)),
        Column("image_url", values.url(1024), "Picture.", "https://shop.example/85123A.jpg", aliases=("image",)),
        Column("active", values.BOOLEAN, "Is sold at present.", "true", lasting=True),
        Column(
            "recommendable",
            values.BOOLEAN,
            "May be offered; false for postage, fees, vouchers.",
            "true",
            lasting=True,
        ),
    ),
    open="attributes",
    merges=True,
)

_ORDERS = Kind(
    "orders",
    (
        Column(
            "order",
            _text(Order, "key"),
            "Order number; the lines with the same number are one order.",
            "489434",
            required=True,
            aliases=("order_id", "order_key", "invoice", "invoice_no", "key"),
        ),
        Column(
            "at",
            values.MOMENT,
            "When it was placed (of the order's first line).",
            "2026-02-01 07:45:00",
            required=True,
            aliases=("ordered_at", "order_date", "invoice_date", "invoice_ts", "date", "time"),
        ),
        Column(
            "contact",
            _text(Contact, "key"),
            "Who bought; unknown ones are created, empty is a stranger.",
            "C-1001",
            aliases=("contact_key", "customer_id", "customer"),
        ),
        *_names(),
        Column("channel", _text(Order, "channel"), "web, store, phone ...", "web"),
        Column("store", _text(Order, "store"), "Which shop.", "Dover"),
        Column("currency", values.CURRENCY, "Default: the shop's.", "GBP"),
        Column(
            "item",
            _text(Item, "key"),
            "What; unknown ones are created.",
            "85123A",
            required=True,
            aliases=("item_key", "sku", "stock_code", "product_id"),
            in_line=True,
        ),
        Column(
            "quantity",
            values.integer(),
            "Units; negative when returned.",
            "6",
            required=True,
            aliases=("qty", "units"),
            in_line=True,
        ),
        Column("unit_price", values.MONEY, "Of one unit.", "2.55", required=True, aliases=("price",), in_line=True),
        Column("discount", values.MONEY, "Off the whole line.", "0.50", in_line=True),
        Column("unit_cost", values.MONEY, "Default: the item's cost.", "1.10", aliases=("cost",), in_line=True),
        Column(
            "title",
            _text(Item, "title"),
            "Names an item that has no title yet.",
            "White lantern",
            aliases=("description", "item_title"),
            in_line=True,
        ),
        Column(
            "line",
            values.integer(0),
            "Line number; the last of two lines with the same number counts.",
            "1",
            aliases=("line_no", "line_number"),
            in_line=True,
        ),
    ),
    key="order",
)

_EVENTS = Kind(
    "events",
    (
        Column(
            "key",
            values.beyond(_text(Event, "key"), OWN_KEYS),
            "Makes the event unique; default: a digest of its content.",
            "e-77",
            aliases=("event_id", "id"),
        ),
        Column(
            "type",
            values.name(),
            "item_view, search, cart_add, survey, call ...; `identify` ties a visitor to a contact.",
            "item_view",
            required=True,
            aliases=("event", "event_type"),
        ),
        Column(
            "at",
            values.MOMENT,
            "When it happened.",
            "2026-02-01T07:45:00Z",
            required=True,
            aliases=("occurred_at", "timestamp", "time", "date"),
        ),
        Column(
            "contact",
            _text(Contact, "key"),
            "Who, if known; unknown ones are created.",
            "C-1001",
            aliases=("contact_key", "customer_id", "customer"),
        ),
        *_names(),
        Column(
            "visitor",
            _text(Event, "visitor"),
            "Anonymous visitor; joins the contact it is known to be.",
            "v-5f0c",
            aliases=("visitor_id",),
        ),
        Column(
            "item", _text(Item, "key"), "Unknown ones are created.", "85123A", aliases=("item_key", "item_id", "sku")
        ),
        Column("value", values.MONEY, "Amount, if the event has one.", "12.99", aliases=("amount",)),
        Column("origin", _text(Event, "origin"), "web, store, call, survey ...", "web", aliases=("source",)),
    ),
    open="properties",
    one_of=("contact", "card", "email", "phone", "visitor"),
)

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in (_CONTACTS, _ITEMS, _ORDERS, _EVENTS)}
