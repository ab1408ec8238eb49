"""What the shop wrote: its lists, its campaigns with what each truly did, and its voice."""

from __future__ import annotations

from typing import Any, NamedTuple

SHOP = "Fennel & Oak"
ADDRESS = "12 Tanner's Yard, York YO1 9ZZ"
SITE = "https://fennelandoak.example"

EMAIL = {"field": "email_consent", "operator": "is", "value": True}
TEXTING = {"field": "sms_consent", "operator": "is", "value": True}


def _did(event: str, at_least: int, days: int | None = None, **more: Any) -> dict[str, Any]:
    window = {"within": {"last_days": days}} if days else {}
    return {"event": event, "measure": "count", "operator": "at_least", "value": at_least, **window, **more}


def _category(path: str) -> dict[str, Any]:
    return {"where": [{"field": "category", "operator": "within", "value": path}]}


LISTS: dict[str, dict[str, Any]] = {
    "Everyone we may write to": {"all": [EMAIL]},
    "Bakers": {"all": [EMAIL, _did("order", 2, **_category("Pantry > Baking"))]},
    "Bought nothing for half a year": {"all": [{"field": "recency", "operator": "at_least", "value": 180}]},
    "May be texted": {"all": [TEXTING]},
    "Espresso people without a grinder": {
        "all": [
            EMAIL,
            _did("order", 3, 365, **_category("Pantry > Coffee")),
            {"not": _did("order", 1, **_category("Kitchen > Coffee making > Grinders"))},
        ]
    },
    "Hosts with money to spend": {
        "all": [
            EMAIL,
            {"field": "income", "operator": "at_least", "value": 50_000},
            {"field": "age", "operator": "between", "value": [30, 60]},
            {"field": "education", "operator": "in", "value": ["bachelor", "master", "doctorate"]},
            {"any": [_did("order", 1, 365, **_category("Table")), _did("item_view", 3, 90, **_category("Table"))]},
        ]
    },
    "Left a cart this fortnight": {"all": [_did("cart_abandon", 1, 14), {"not": _did("order", 1, 14)}]},
    "Reads Chinese, drinks tea": {
        "all": [
            {"field": "language", "operator": "is", "value": "zh"},
            {"any": [_did("order", 1, **_category("Pantry > Tea")), _did("item_view", 2, **_category("Pantry > Tea"))]},
        ]
    },
}


class Plan(NamedTuple):
    """One campaign of the past, and what nobody in the shop can know."""

    name: str
    list_name: str
    days_ago: float
    extra: float  # chance of one more order that each message truly causes among people who buy at all
    code: float  # price reduction on every order of the reached within the window
    fixed_cost: int  # pounds
    message_cost: float
    opens: float
    clicks: float
    leaves: float  # share who unsubscribe (or answer STOP)
    subject: str  # or the text of an SMS
    preheader: str = ""
    body: str = ""
    channel: str = "email"
    window_days: int = 14
    holdout: float = 0.1


PLANS = (
    Plan(
        "A quarter off everything", "Everyone we may write to", 231, 0.006, 0.25, 950, 0.004, 0.41, 0.11, 0.006,
        "A quarter off everything, for three weeks", "No code to copy. The price you see is the price.",
        "Once a year we take a quarter off the whole shop, from salt to espresso machines."
        " No code to copy: the price you see is the price you pay.",
        window_days=21,
        holdout=0.3,  # a tenth left an interval 8,500 pounds wide, wider than the loss
    ),
    Plan(
        "New roasts", "Everyone we may write to", 163, 0.062, 0.0, 420, 0.004, 0.36, 0.07, 0.003,
        "Four new roasts, one long table", "Huila is back, and it tastes of plums.",
        "We tasted thirty-one coffees so that you need not. Four stayed on the table: **Huila** with its plums,"
        " **Nyeri** bright as morning, **Cerrado** like toast and cocoa, and a decaf we drink ourselves.",
    ),
    Plan(
        "Bread at home", "Bakers", 131, 0.03, 0.0, 180, 0.004, 0.44, 0.09, 0.002,
        "A loaf in four hours, six of them asleep", "Stoneground flour, a good tin, and patience.",
        "Rye likes time more than work. Here is the loaf we bake on Fridays, and the flour and tin we bake it with.",
    ),
    Plan(
        "Shop evening", "May be texted", 88, 0.03, 0.0, 150, 0.042, 0.0, 0.05, 0.008,
        "Fennel & Oak: shop evening this Thursday, 6 to 9. Tea, biscuits, and the new pottery before anyone else."
        " fennelandoak.example/evening",
        channel="sms",
    ),
    Plan(
        "Table for six", "Everyone we may write to", 47, 0.028, 0.0, 600, 0.004, 0.35, 0.06, 0.004,
        "{{ contact.first_name | default: 'Friends' }}, six plates and nothing matching",
        "Speckled, sage and midnight go together. We tried.",
        "A table looks better when nothing quite matches. Speckled plates, sage bowls, midnight mugs: mix them,"
        " then light something that smells of fig.",
    ),
    Plan(
        "We kept your seat", "Bought nothing for half a year", 6, 0.012, 0.0, 120, 0.004, 0.24, 0.03, 0.009,
        "It has been a while, {{ contact.first_name | default: 'friend' }}",
        "The kettle is on.",
        "Half a year is a long time between cups. Much is new on the shelves, and your usual is where you left it.",
    ),
)  # fmt: skip

# Not sent yet: name, list, days from now (None: a draft), subject, preheader, body.
AHEAD = (
    (
        "The long table", "Hosts with money to spend", 4, "Ten chairs, one tablecloth, no fuss",
        "What we lay out when everybody comes.",
        "Washed linen forgives everything. One long cloth, ten napkins, and glasses nobody is afraid of.",
    ),
    (
        "A grinder changes everything", "Espresso people without a grinder", None, "Your beans deserve better",
        "Ground a minute ago, not a month ago.",
        "You buy good beans. Grind them a minute before you brew and they taste the way they smelt in the bag.",
    ),
)  # fmt: skip


def blocks(body: str, *, heading: str, site: str = SITE) -> list[dict[str, Any]]:
    """The content of one of our mails: what we say, and what fits the reader."""
    return [
        {"type": "heading", "text": heading},
        {"type": "text", "text": f"Hello {{{{ contact.first_name | default: 'there' }}}},\n\n{body}"},
        {"type": "products", "title": "Chosen for you", "n": 3},
        {"type": "button", "label": "Come and look", "url": f"{site}/new"},
        {"type": "text", "text": "Warmly,\nthe people of Fennel & Oak"},
    ]
