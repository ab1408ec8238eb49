"""Everything a criterion may name: fields of contacts, what people do (behaviours), and how it is measured.

A package further up adds its own at import with `register` and `register_behaviour`; the tables they read must be
in the warehouse. What only a certain shop has (its attributes, event types) is found by `engine.catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import ibis
from sqlalchemy.orm import Session

from engine import dialect
from engine.values import Clock, Words

Column = Callable[[Any, Clock], Any]  # (rows of the field's table, clock) -> Ibis value
Aggregate = Callable[[Any, Any, Clock], Any]  # (column of the property or number of rows, rows, clock) -> Ibis value
Names = Callable[[Session], Mapping[int, str]]  # what the numbers of a reference stand for, in one shop
View = Callable[[Any, Clock], Any]  # (anything with .table(name): the warehouse; clock) -> Ibis table


@dataclass(frozen=True)
class Field:
    """One row of the catalogue. `key` alone makes it equal to another."""

    key: str
    type: str = field(compare=False)
    group: str = field(compare=False)
    label: Words = field(compare=False)
    column: Column = field(compare=False, repr=False)
    table: str = field(default="contacts", compare=False)  # or a table or view with at most one row per contact_id
    empty: Any = field(default=None, compare=False)  # the value of contacts without a row there
    said: Words | None = field(default=None, compare=False)  # instead of "whose age is": "aged {0}", with an amount
    placed: Words | None = field(default=None, compare=False)  # the same for operators is and in: "in {0}"
    states: tuple[Words, Words] | None = field(default=None, compare=False)  # of a yes/no never unknown: if no, if yes
    options: bool = field(default=False, compare=False)  # the stored values are worth offering in a drop-down
    readings: tuple[str, ...] = field(default=(), compare=False)  # other types it may be read as
    names: Names | None = field(default=None, compare=False, repr=False)  # of a reference: what its numbers stand for
    named: Mapping[Any, str] = field(default_factory=dict, compare=False, repr=False)  # the same, looked up

    @property
    def types(self) -> tuple[str, ...]:
        """The types it may be asked as, its own first."""
        return (self.type, *self.readings)


@dataclass(frozen=True)
class Behaviour:
    """Something people do, told by the rows of a table; each row has contact_id and the moment."""

    key: str
    verb: Words = field(compare=False)  # who "ordered"
    contrary: Words = field(compare=False)  # who "did not order"
    noun: Words = field(compare=False)  # of "orders"
    rows: str = field(default="events", compare=False)  # key in ROWS of engine.criteria.rows


@dataclass(frozen=True)
class Measure:
    """How rows become one value per contact."""

    key: str
    types: tuple[str, ...]  # of the property; () takes none
    aggregate: Aggregate = field(compare=False, repr=False)
    words: Words = field(compare=False)  # {0}: property, {1}: noun
    empty: int | None = field(default=0, compare=False)  # without any row
    result: str = field(default="amount", compare=False)  # or a type; or "own": that of the property

    @property
    def counts(self) -> bool:
        """Is the result a plain number, whatever the property is?"""
        return self.result == "number"

    def kinds(self, property_: Field | None) -> tuple[str, ...]:
        """The types that its result may be asked as."""
        if self.result == "own" and property_:
            return property_.types
        if self.result == "amount" and property_:
            return ("money" if property_.type == "money" else "number",)
        return (self.result,)


DAY_SECONDS: Final = 86_400


def _plain(name: str) -> Column:
    return lambda rows, _clock: rows[name]


def _contact(key: str, kind: str, group: str, en: str, zh: str, **more: Any) -> Field:
    return Field(key, kind, group, Words(en, zh), more.pop("column", _plain(key)), **more)


def age(rows: Any, clock: Clock) -> Any:
    """Whole years from birth_date on the shop's day; the declared age when that is unknown or yet to come.
    Who was born on 29 February is a year older on 1 March of other years.
    """
    today, born = clock.today, rows.birth_date
    birthday = born.month() * 100 + born.day()
    years = today.year - born.year() - (birthday > today.month * 100 + today.day).cast("int64")
    return ibis.ifelse(born <= today, years, None).coalesce(rows.age)


def days_since(name: str) -> Column:
    """Whole days of 24 hours since a moment, to the second; the future counts as today."""
    return lambda rows, clock: _seconds_since(rows[name], clock) // DAY_SECONDS


def overdue(rows: Any, clock: Clock) -> Any:
    """The time since the last order as a multiple of the mean gap between orders."""
    return _seconds_since(rows.last_order_at, clock) / (rows.mean_gap_days.nullif(0) * DAY_SECONDS)


def hour(rows: Any, clock: Clock) -> Any:
    """0 to 23, as the shop's clock showed when it happened."""
    return dialect.local(rows.at, clock.zone).hour()


def _seconds_since(moment: Any, clock: Clock) -> Any:
    seconds = ibis.literal(clock.now).delta(moment, unit="second")
    return ibis.ifelse(seconds < 0, 0, seconds)  # DuckDB's GREATEST(NULL, 0) is 0


def _trait(key: str, kind: str, en: str, zh: str, **more: Any) -> Field:
    return _contact(key, kind, "orders", en, zh, table="traits", **more)


GROUPS: Final = {
    "person": Words("Person", "个人资料"),
    "place": Words("Place", "所在地"),
    "contact": Words("Contact and consent", "联系与许可"),
    "orders": Words("Orders so far", "历史订单"),
    "attributes": Words("Own attributes", "自定义属性"),
    "event": Words("Event", "事件"),
}

FIELDS: Final[dict[str, Field]] = {
    row.key: row
    for row in (
        _contact("first_name", "text", "person", "first name", "名字"),
        _contact("last_name", "text", "person", "last name", "姓氏"),
        _contact("age", "number", "person", "age", "年龄", column=age, said=Words("aged {0}", "年龄{0}岁")),
        _contact("birth_date", "date", "person", "birth date", "出生日期"),
        _contact("income", "money", "person", "yearly income", "年收入"),
        _contact("education", "choice", "person", "education", "教育程度", options=True),
        _contact("household_size", "number", "person", "household size", "家庭人数"),
        _contact("household", "text", "person", "household", "家庭编号"),
        _contact("account", "text", "person", "account", "客户单位"),
        _contact("language", "choice", "person", "language", "语言", options=True),
        _contact("country", "choice", "place", "country", "国家", options=True, placed=Words("in {0}", "国家为{0}")),
        _contact("region", "choice", "place", "region", "地区", options=True, placed=Words("in {0}", "地区为{0}")),
        _contact("city", "choice", "place", "city", "城市", options=True, placed=Words("in {0}", "城市为{0}")),
        _contact("postcode", "text", "place", "postcode", "邮政编码"),
        _contact("key", "text", "contact", "customer number", "客户编号"),
        _contact("email", "text", "contact", "e-mail address", "电子邮箱"),
        _contact(
            "email_domain", "choice", "contact", "e-mail domain", "邮箱域名", options=True,
            column=lambda rows, _clock: rows.email.re_extract("[^@]*$", 0).lower(),
        ),
        _contact("phone", "text", "contact", "phone number", "电话号码"),
        _contact("origin", "choice", "contact", "origin", "来源", options=True),
        _contact("email_consent", "yes_no", "contact", "consent to e-mail", "电子邮件许可"),
        _contact("sms_consent", "yes_no", "contact", "consent to SMS", "短信许可"),
        _contact("created_at", "moment", "contact", "first day with us", "建档时间"),
        _trait(
            "recency", "number", "number of days since the last order", "距上次下单天数",
            column=days_since("last_order_at"),
            said=Words("who last ordered {0} days ago", "上次下单在{0}天前"),
        ),
        _trait(
            "order_count", "number", "number of orders", "订单数", empty=0,
            said=Words("with {0} orders in all", "总共下单{0}次"),
        ),
        _trait("spend", "money", "total spend", "累计消费", empty=0),
        _trait("margin", "money", "total margin", "累计毛利"),
        _trait("average_order", "money", "average order", "平均订单额"),
        _trait("discounted_orders", "number", "number of orders with a discount", "有折扣的订单数", empty=0),
        _trait("other_currency_orders", "number", "number of orders in other currencies", "其他货币订单数", empty=0),
        _trait("units", "number", "units bought", "购买件数", empty=0),
        _trait("returned_units", "number", "units returned", "退货件数", empty=0),
        _trait("mean_gap_days", "number", "mean days between orders", "平均下单间隔天数"),
        _trait("overdue", "number", "time since the last order as a multiple of the mean gap",
               "距上次下单时间相当于平均下单间隔的倍数", column=overdue),
        _trait("first_order_at", "moment", "first order", "首次下单时间"),
        _trait("last_order_at", "moment", "last order", "最近下单时间"),
        _trait("favourite_category", "path", "favourite category", "最常购买类别", options=True),
        _trait("channels", "choice", "channels ordered on", "下单渠道", options=True),
        _trait("rfm_recency", "number", "recency score", "近度得分"),
        _trait("rfm_frequency", "number", "frequency score", "频度得分"),
        _trait("rfm_monetary", "number", "monetary score", "额度得分"),
    )
}  # fmt: skip


def _event(key: str, kind: str, en: str, zh: str, **more: Any) -> Field:
    return _contact(key, kind, "event", en, zh, **more)


ITEM_FIELDS: Final = (
    _event("item", "choice", "item", "商品", table="items", column=_plain("item_key")),
    _event("title", "text", "item title", "商品名称", table="items"),
    _event("category", "path", "category", "类别", table="items", options=True),
    _event("brand", "choice", "brand", "品牌", table="items", options=True),
)

_TIME: Final = (  # of the row, on the shop's calendar and clock
    _event("at", "moment", "time", "时间", table="events"),
    _event("hour", "number", "hour of the day", "钟点", table="events", column=hour),
)

_WHERE: Final = (
    _event("channel", "choice", "channel", "渠道", table="orders", options=True),
    _event("store", "choice", "store", "门店", table="orders", options=True),
    _event("currency", "choice", "currency", "货币", table="orders", options=True),
)

# Conditions and measures of a behaviour, by the kind of its rows. `table` says which join brings the column.
ROW_FIELDS: Final[dict[str, Mapping[str, Field]]] = {
    "events": {
        row.key: row
        for row in (
            _event("value", "money", "value", "金额", table="events"),
            _event("origin", "choice", "origin", "来源", table="events", options=True),
            *_TIME,
            *ITEM_FIELDS,
        )
    },
    "orders": {
        row.key: row
        for row in (
            _event("total", "money", "amount", "金额", table="orders"),
            _event("margin", "money", "margin", "毛利", table="orders"),
            _event("units", "number", "units", "件数", table="orders"),
            *_WHERE,
            _event("unit_price", "money", "unit price", "单价", table="order_lines"),
            _event("discount", "money", "line discount", "行折扣", table="order_lines"),
            *_TIME,
            *ITEM_FIELDS,
        )
    },
    "returns": {
        row.key: row
        for row in (
            _event("amount", "money", "amount", "金额", table="order_lines"),
            _event("units", "number", "units", "件数", table="order_lines"),
            _event("unit_price", "money", "unit price", "单价", table="order_lines"),
            *_WHERE,
            *_TIME,
            *ITEM_FIELDS,
        )
    },
}


IN_CURRENCY: Final = {"orders", "returns"}  # kinds of rows whose amounts are in the currency of an order

# What the rows of each kind are called in the documentation, and which of them carry the sender's own `properties`.
ROW_TITLES: Final[dict[str, str]] = {
    "events": "Of events, and `properties.<name>`",
    "orders": "Of `order`",
    "returns": "Of `return`",
}
OPEN_ROWS: Final[set[str]] = {"events"}

VIEWS: Final[dict[str, View]] = {}  # computed from tables of the warehouse whenever a criterion asks, by name


def _behaviour(key: str, verb: Words, contrary: str, noun: Words, rows: str = "events") -> Behaviour:
    return Behaviour(key, verb, Words(contrary, f"没有{verb.zh}"), noun, rows)


BEHAVIOURS: Final[dict[str, Behaviour]] = {
    row.key: row
    for row in (
        _behaviour("order", Words("ordered", "下单"), "did not order", Words("orders", "订单"), "orders"),
        _behaviour("return", Words("returned something", "退货"), "returned nothing", Words("returns", "退货"),
                   "returns"),
        _behaviour("page_view", Words("viewed a page", "浏览页面"), "did not view a page",
                   Words("page views", "页面浏览")),
        _behaviour("item_view", Words("viewed an item", "浏览商品"), "did not view an item",
                   Words("item views", "商品浏览")),
        _behaviour("search", Words("searched", "搜索"), "did not search", Words("searches", "搜索")),
        _behaviour("cart_add", Words("put an item in the cart", "加入购物车"), "did not put an item in the cart",
                   Words("items put in the cart", "加购")),
        _behaviour("cart_remove", Words("took an item out of the cart", "移出购物车"),
                   "did not take an item out of the cart", Words("items taken out of the cart", "移出购物车")),
        _behaviour("cart_abandon", Words("abandoned a cart", "放弃购物车"), "did not abandon a cart",
                   Words("abandoned carts", "弃购")),
        _behaviour("survey", Words("answered a survey", "填写问卷"), "did not answer a survey",
                   Words("surveys", "问卷")),
        _behaviour("call", Words("called", "来电"), "did not call", Words("calls", "来电")),
        _behaviour("flyer_scan", Words("scanned a flyer", "扫描传单"), "did not scan a flyer",
                   Words("flyer scans", "传单扫描")),
        _behaviour("impression", Words("saw a recommendation", "看到推荐"), "did not see a recommendation",
                   Words("impressions", "推荐曝光")),
        _behaviour("recommendation_click", Words("clicked a recommendation", "点击推荐"),
                   "did not click a recommendation", Words("recommendation clicks", "推荐点击")),
        _behaviour("store_visit", Words("came to a store", "到店"), "did not come to a store",
                   Words("store visits", "到店")),
        _behaviour("list_join", Words("joined a list", "加入名单"), "did not join a list", Words("joins", "加入名单"),
                   "moves"),
        _behaviour("list_leave", Words("left a list", "离开名单"), "did not leave a list", Words("leaves", "离开名单"),
                   "moves"),
        _behaviour("checkout", Words("finished a checkout on a page", "在网页完成结账"),
                   "did not finish a checkout on a page", Words("checkouts on a page", "网页结账")),
        _behaviour("identify", Words("was recognised", "被识别"), "was not recognised",
                   Words("recognitions", "识别")),
    )
}  # fmt: skip

PLAIN: Final = ("text", "choice", "path", "number", "money", "reference")  # types whose values can be told apart
TOLD: Final = (*PLAIN, "date", "moment", "yes_no", "choices")

MEASURES: Final[dict[str, Measure]] = {
    row.key: row
    for row in (
        Measure("count", (), lambda number, _rows, _clock: number, Words("{1}", "{1}次数"), result="number"),
        Measure("sum", ("number", "money"), lambda column, _rows, _clock: column.sum(),
                Words("total {0} of {1}", "{1}总{0}")),
        Measure("average", ("number", "money"), lambda column, _rows, _clock: column.mean(),
                Words("average {0} of {1}", "{1}平均{0}"), empty=None),
        Measure("minimum", ("number", "money"), lambda column, _rows, _clock: column.min(),
                Words("lowest {0} of {1}", "{1}最低{0}"), empty=None),
        Measure("maximum", ("number", "money"), lambda column, _rows, _clock: column.max(),
                Words("highest {0} of {1}", "{1}最高{0}"), empty=None),
        Measure("distinct", PLAIN, lambda column, _rows, _clock: column.nunique(),
                Words("number of different values of {0} of {1}", "{1}中不同{0}的个数"), result="number"),
        Measure("first_at", (), lambda _number, rows, _clock: rows.at.min(),
                Words("time of the first of the {1}", "首次{1}时间"), empty=None, result="moment"),
        Measure("last_at", (), lambda _number, rows, _clock: rows.at.max(),
                Words("time of the last of the {1}", "最近一次{1}时间"), empty=None, result="moment"),
        Measure("days_since", (), lambda _number, rows, clock: _seconds_since(rows.at.max(), clock) // DAY_SECONDS,
                Words("number of days since the last of the {1}", "距最近一次{1}的天数"), empty=None, result="number"),
        Measure("first", TOLD, lambda column, rows, _clock: dialect.first(column, *_order(rows)),
                Words("{0} of the first of the {1}", "首次{1}的{0}"), empty=None, result="own"),
        Measure("last", TOLD, lambda column, rows, _clock: dialect.last(column, *_order(rows)),
                Words("{0} of the last of the {1}", "最近一次{1}的{0}"), empty=None, result="own"),
    )
}  # fmt: skip


def _order(rows: Any) -> list[Any]:
    """Rows of the same instant are told apart by the order in which they came in."""
    return [rows[name] for name in ("at", "id") if name in rows.columns]


def register(row: Field) -> None:
    """Add a field of contacts; `row.table` holds at most one row per contact_id."""
    FIELDS[row.key] = row


def register_group(key: str, words: Words) -> None:
    """Add a group of fields."""
    GROUPS[key] = words


def register_behaviour(row: Behaviour) -> None:
    """Add words for an event type."""
    BEHAVIOURS[row.key] = row


def register_view(name: str, build: View) -> None:
    """Add a table that is computed when it is asked for; its columns are those that fields name, and contact_id."""
    VIEWS[name] = build


def source(warehouse: Any, name: str, clock: Clock) -> Any:
    """The rows that fields of table or view `name` are columns of."""
    return VIEWS[name](warehouse, clock) if name in VIEWS else warehouse.table(name)


def other_behaviour(key: str) -> Behaviour:
    """An event type that has come in but that nobody gave words to."""
    name = f"“{key}”"
    return _behaviour(key, Words(f"did {name}", f"发生{name}"), f"did not do {name}", Words(name, name))


def open_field(prefix: str, name: str, kind: str, table: str) -> Field:
    """A field of the shop's own, `attributes.<name>` of contacts or `properties.<name>` of events. What is stored is
    JSON without a declared type, so any type may be asked; a value that cannot be read as that type is unknown.
    """
    readings = tuple(other for other in READINGS if other != kind)
    column: Column = lambda rows, _clock: dialect.json_text(rows[prefix], name)  # noqa: E731
    group = "attributes" if prefix == "attributes" else "event"
    return Field(f"{prefix}.{name}", kind, group, Words(name, name), column, table, options=True, readings=readings)


LARGEST: Final = 1e300  # of numbers read from text; sums of them are finite


def _number(text: Any) -> Any:
    """NULL also for what databases take for a number though it is none ("NaN", "inf")."""
    number = text.try_cast("float64")
    return ibis.ifelse(number.abs() <= LARGEST, number, None)


READINGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": lambda text: text,
    "number": _number,
    "date": lambda text: text.try_cast("date"),
    "yes_no": lambda text: text.try_cast("boolean"),
    "choices": dialect.texts,
}


def in_currency(row: Field, currency: str) -> Field:
    """A field of an order, or of a line of it, where amounts in other currencies are unknown."""
    if row.type != "money":
        return row
    return replace(
        row, column=lambda rows, clock: ibis.ifelse(rows.currency == currency, row.column(rows, clock), None)
    )


def read_as(row: Field, kind: str) -> Field:
    """An open field whose column is cast to the type asked for."""
    if not row.readings:
        return row
    return replace(row, column=lambda rows, clock: READINGS[kind](row.column(rows, clock)))
