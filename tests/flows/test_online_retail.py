"""A real shop's two years, from its files to the mail in people's boxes and the offer in its cart.

Online Retail II (UCI, CC BY 4.0), 1,067,370 order lines as published. Everything goes through the doors a user has:
the command line, the REST API over HTTP and a real SMTP server; what comes out is compared with pandas.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiosmtpd.controller import Controller

DATA = Path(__file__).parents[3] / "shared" / "data" / "online_retail_ii" / "lines_as_published.csv.gz"
ORDER_COLUMNS = {
    "invoice": "order", "stock_code": "item", "description": "title", "quantity": "quantity", "invoice_ts": "at",
    "unit_price": "unit_price", "customer_id": "contact", "country": "", "sheet": "",
}  # fmt: skip
UK_REGULARS = {
    "all": [
        {"field": "country", "operator": "is", "value": "United Kingdom"},
        {
            "event": "order", "measure": "count", "operator": "at_least", "value": 3,
            "within": {"last_days": 90, "before": "2011-12-01"},
        },
    ]
}  # fmt: skip

YEAR = {"from": "2010-12-01", "to": "2011-12-01"}
BAG, HEART = "85099B", "85123A"  # the jumbo bag and the hanging heart, the two best sellers
BAG_BUYERS_ABROAD = {
    "include": {
        "all": [
            {"field": "country", "operator": "not_in", "value": ["United Kingdom", "Unspecified"]},
            {
                "event": "order", "measure": "count", "operator": "at_least", "value": 1, "within": YEAR,
                "where": [{"field": "item", "operator": "is", "value": BAG}],
            },
        ]
    },
    "exclude": {"event": "return", "measure": "count", "operator": "at_least", "value": 1, "within": YEAR},
}  # fmt: skip
BIG_SPENDERS_WHO_ORDER_LESS = {
    "all": [
        {
            "event": "order", "measure": "sum", "property": "total", "operator": "top_percent", "value": 10,
            "within": YEAR,
        },
        {
            "event": "order", "measure": "count", "operator": "at_most", "value": -50, "compared_to": "previous",
            "within": {"last_days": 90, "before": "2011-12-01"},
        },
    ]
}  # fmt: skip
HEART_AND_NOTHING_AFTER = {
    "sequence": [
        {"event": "order", "where": [{"field": "item", "operator": "is", "value": HEART}]},
        {"event": "order", "days": 60, "not": True},
    ],
    "within": {"from": "2011-01-01", "to": "2011-07-01"},
}

pytestmark = [
    pytest.mark.data,
    pytest.mark.xdist_group("online retail"),  # the shop is imported once
    pytest.mark.skipif(not DATA.exists(), reason="the public data sets are not in ../shared/data"),
]


class Mailbox:
    """The far end: keeps every message that a real SMTP session brought."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, EmailMessage]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take the message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages += [(recipient, message) for recipient in envelope.rcpt_tos]
        return "250 OK"


class Shop:
    """One workspace with its commands, its server and its mailbox."""

    def __init__(self, folder: Path, smtp_port: int, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.port = free_port()
        self.key = ""
        self.environment = os.environ | {
            "RAPPORT_WORKSPACE__PATH": str(folder),
            "RAPPORT_SERVER__PORT": str(self.port),
            "RAPPORT_SERVER__PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "RAPPORT_MAIL__TRANSPORT": "smtp",
            "RAPPORT_MAIL__SMTP_PORT": str(smtp_port),
            "RAPPORT_RECOMMENDER__HISTORY_DAYS": "10000",  # the shop closed in 2011
        }

    def run(self, *arguments: str) -> str:
        """A command that must succeed; what it prints."""
        command = [sys.executable, "-m", "web.cli", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the API, with the key."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def members(self, list_id: int) -> Iterator[str]:
        """The keys of the people on a list, page by page."""
        cursor: int | None = 0
        while cursor is not None:
            page = self.ask("GET", f"/lists/{list_id}/members?limit=100&cursor={cursor}")
            yield from (member["key"] for member in page["members"])
            cursor = page["next"]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    """The file as published."""
    return pd.read_csv(DATA, dtype={"customer_id": "string", "invoice": "string", "stock_code": "string"})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, lines: pd.DataFrame) -> Iterator[Shop]:
    """The shop's files imported, the server and the worker running."""
    folder = tmp_path_factory.mktemp("shop")
    mailbox = Mailbox()
    smtp = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    smtp.start()
    shop = Shop(folder / "workspace", smtp.port, mailbox)
    known = lines.dropna(subset="customer_id").drop_duplicates("customer_id", keep="last")
    contacts = pd.DataFrame({"key": known.customer_id, "country": known.country, "email_consent": "yes"})
    contacts["email"] = "c" + contacts.key + "@buyers.example"
    contacts.to_csv(folder / "contacts.csv", index=False)
    shop.run("migrate")
    shop.run("import", "contacts", str(folder / "contacts.csv"))
    maps = [argument for header, column in ORDER_COLUMNS.items() for argument in ("--map", f"{header}={column}")]
    shop.run("import", "orders", str(DATA), *maps)
    shop.key = shop.run("key", "add", "flow", "--scope", "all").split()[-1]
    process = subprocess.Popen([sys.executable, "-m", "web.cli", "run"], env=shop.environment)
    wait(lambda: reachable(shop.port), 60)
    yield shop
    process.terminate()
    process.wait(30)
    smtp.stop()


def reachable(port: int) -> bool:
    """The server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            return True
    except OSError:
        return False


def wait(until: Any, seconds: float) -> None:
    """Until something is true."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


def expected_regulars(lines: pd.DataFrame) -> set[str]:
    """By pandas: customers of the United Kingdom with three sale invoices from 2 September to 30 November 2011."""
    orders = lines.assign(value=lines.quantity * lines.unit_price).groupby("invoice").agg(
        customer=("customer_id", "first"), at=("invoice_ts", "first"), value=("value", "sum")
    )  # fmt: skip
    inside = orders[(orders["at"] >= "2011-09-02") & (orders["at"] < "2011-12-01") & (orders.value > 0)]
    counts = inside.groupby("customer").size()
    known = lines.dropna(subset="customer_id").drop_duplicates("customer_id", keep="last")
    british = set(known.customer_id[known.country == "United Kingdom"])
    return set(counts.index[counts >= 3]) & british


def purchases(lines: pd.DataFrame) -> pd.DataFrame:
    """By pandas: invoices with a total above zero of known customers, by time."""
    orders = lines.assign(value=(lines.quantity * (lines.unit_price * 1000).round()).astype("int64"))
    orders = orders.groupby("invoice").agg(
        customer=("customer_id", "first"), at=("invoice_ts", "first"), value=("value", "sum")
    )  # fmt: skip
    return orders[(orders.value > 0) & orders.customer.notna()].reset_index().sort_values("at")


def expected_bag_buyers_abroad(lines: pd.DataFrame) -> set[str]:
    """Customers abroad who bought the bag and returned nothing, from December 2010 on."""
    known = lines.dropna(subset="customer_id").drop_duplicates("customer_id", keep="last")
    abroad = set(known.customer_id[~known.country.isin(["United Kingdom", "Unspecified"])])
    year = lines[(lines.invoice_ts >= YEAR["from"]) & (lines.invoice_ts < YEAR["to"])].dropna(subset="customer_id")
    bags = set(lines.invoice[lines.stock_code == BAG])
    bought = purchases(year)
    return (set(bought.customer[bought.invoice.isin(bags)]) & abroad) - set(year.customer_id[year.quantity < 0])


def expected_big_spenders(lines: pd.DataFrame) -> set[str]:
    """A tenth of all contacts by what they spent in the year, who ordered half as often in autumn as in summer."""
    orders = purchases(lines)
    year = orders[(orders["at"] >= YEAR["from"]) & (orders["at"] < YEAR["to"])]
    everyone = lines.customer_id.dropna().unique()
    spent = year.groupby("customer").value.sum().reindex(everyone, fill_value=0)  # nothing is known to be nothing
    big = set(spent.index[spent.rank(method="min", ascending=False) <= math.ceil(len(spent) / 10)])
    autumn, summer = (
        orders[(orders["at"] >= start) & (orders["at"] < end)].groupby("customer").size()
        for start, end in (("2011-09-02", "2011-12-01"), ("2011-06-04", "2011-09-02"))
    )
    change = autumn.reindex(summer.index, fill_value=0) / summer - 1
    return big & set(change.index[change <= -0.5])


def expected_heart_and_nothing_after(lines: pd.DataFrame) -> set[str]:
    """Who bought the heart in the first half of 2011 and at least once then nothing at all for 60 days."""
    orders = purchases(lines).assign(at=lambda rows: pd.to_datetime(rows["at"]))
    moments = orders[["customer", "at"]].drop_duplicates()
    moments["next"] = moments.groupby("customer")["at"].shift(-1)
    orders = orders.merge(moments, on=["customer", "at"])
    hearts = orders[orders.invoice.isin(set(lines.invoice[lines.stock_code == HEART]))]
    hearts = hearts[(hearts["at"] >= "2011-01-01") & (hearts["at"] < "2011-07-01")]
    return set(hearts.customer[hearts.next.isna() | (hearts.next - hearts["at"] > pd.Timedelta(days=60))])


@pytest.mark.parametrize(
    ("asked", "expected", "at_least"),
    [
        (BAG_BUYERS_ABROAD, expected_bag_buyers_abroad, 10),
        (BIG_SPENDERS_WHO_ORDER_LESS, expected_big_spenders, 10),
        (HEART_AND_NOTHING_AFTER, expected_heart_and_nothing_after, 100),
    ],
    ids=["bag buyers abroad", "big spenders", "heart and nothing after"],
)
def test_members_are_those_pandas_finds(
    shop: Shop, lines: pd.DataFrame, asked: Any, expected: Callable[[pd.DataFrame], set[str]], at_least: int
) -> None:
    """The members of a list, page by page over the API, one by one."""
    made = shop.ask("POST", "/lists", {"name": expected.__name__, "criteria": asked})
    found = list(shop.members(made["id"]))
    assert len(found) == len(set(found)) >= at_least
    assert set(found) == expected(lines)


def test_list_campaign_and_mail(shop: Shop, lines: pd.DataFrame) -> None:
    """Exactly the people pandas finds are on the list, in the ledger and, but for the holdout, at the far end; each
    mail can be unsubscribed from.
    """
    regulars = expected_regulars(lines)
    made = shop.ask("POST", "/lists", {"name": "UK regulars", "criteria": UK_REGULARS})
    found = shop.ask("POST", "/lists/preview", {"criteria": UK_REGULARS})
    assert found["count"] == len(regulars) > 300
    draft = {
        "name": "Thank you", "list_id": made["id"], "holdout": 0.1, "subject": "Thank you, regular",
        "blocks": [{"type": "text", "text": "You came back three times this autumn."}],
    }  # fmt: skip
    campaign = shop.ask("POST", "/campaigns", draft)
    shop.ask("POST", f"/campaigns/{campaign['id']}/schedule", {})
    wait(lambda: shop.ask("GET", f"/campaigns/{campaign['id']}")["status"] == "finished", 120)
    funnel = shop.ask("GET", f"/campaigns/{campaign['id']}/report")["funnel"]
    received = [recipient for recipient, _ in shop.mailbox.messages]
    assert len(received) == len(set(received)) == funnel["sent"]
    assert funnel["matched"] == len(regulars) == funnel["sent"] + funnel["held"]
    assert {recipient.removeprefix("c").partition("@")[0] for recipient in received} <= regulars
    assert 0.05 < funnel["held"] / len(regulars) < 0.16
    unsubscribe(shop.mailbox.messages[0][1])


def unsubscribe(message: EmailMessage) -> None:
    """RFC 8058: both headers, and one POST without a cookie is enough."""
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = message["List-Unsubscribe"].split(">")[0].strip("<")
    with urllib.request.urlopen(urllib.request.Request(link, b"List-Unsubscribe=One-Click"), timeout=30) as answer:
        assert answer.status == 200


def test_cross_sell_over_http(shop: Shop, lines: pd.DataFrame) -> None:
    """Trained on the command line, asked over HTTP: the reason's numbers are those pandas counts."""
    shop.run("train")
    sales = lines[~lines.invoice.str.startswith("C") & (lines.quantity > 0)]
    sku = "85099B"  # the jumbo bag, the most sold piece of merchandise
    answer = shop.ask("POST", "/recommendations", {"placement": "item", "context": {"items": [sku]}, "n": 5})
    offer = next(item for item in answer["items"] if item["source"] == "rules")
    sales = sales.assign(buyer=sales.customer_id.fillna(sales.invoice))  # an order without a contact is a buyer
    buyers = {code: set(rows) for code, rows in sales.groupby("stock_code").buyer}
    reason = offer["reason"]
    assert not answer["degraded"]
    assert reason["support"] == pytest.approx(len(buyers[sku] & buyers[offer["id"]]), rel=0.01)
    assert reason["n"] == pytest.approx(len(buyers[sku]), rel=0.01)
    assert reason["confidence"] == pytest.approx(reason["support"] / reason["n"], rel=0.01)
    assert f"{reason['support']} of {reason['n']} buyers" in reason["text"]


def test_repeated_lines_left_out(tmp_path: Path, lines: pd.DataFrame) -> None:
    """The published file has 34,335 lines twice: whole days in both sheets, and lines typed or scanned again. Without
    them pandas finds the totals that the data's README states; the import of the days of both sheets and one before,
    without them, finds what pandas finds there.
    """
    columns = ["invoice", "stock_code", "description", "quantity", "invoice_ts", "unit_price", "customer_id", "country"]
    distinct = lines.drop_duplicates(columns)
    assert (len(distinct), distinct.quantity.sum()) == (1_033_035, 10_409_778)
    assert (distinct.quantity * distinct.unit_price).sum() == pytest.approx(18_855_515.698, abs=0.001)
    days = ("2010-11-30", "2010-12-09 23:59:59")
    part, wanted = (frame[frame.invoice_ts.between(*days)] for frame in (lines, distinct))
    path = tmp_path / "part.csv"
    part.to_csv(path, index=False)
    shop = Shop(tmp_path / "workspace", free_port(), Mailbox())
    shop.run("migrate")
    told = shop.run("import", "orders", str(path), "--map", "country=", "--map", "sheet=", "--repeats", "drop")
    assert f"{len(part) - len(wanted):,} lines repeat another line of their order in every column" in told
    assert len(part) - len(wanted) > 22_523  # all of the first days, and more
    database = sqlite3.connect(tmp_path / "workspace" / "rapport.db")
    (found,) = database.execute("SELECT count(*), sum(quantity), sum(quantity * unit_price) FROM order_lines")
    database.close()
    value = sum(
        quantity * Decimal(str(price)) for quantity, price in zip(wanted.quantity, wanted.unit_price, strict=True)
    )
    assert found == (len(wanted), wanted.quantity.sum(), value * 10_000)


def test_the_same_file_twice_changes_nothing(shop: Shop, tmp_path: Path, lines: pd.DataFrame) -> None:
    """The first 50,000 lines once more: no order is created or updated."""
    whole = lines.groupby("invoice").ngroup() < 500  # whole orders: a part of an order would be another order
    part = tmp_path / "part.csv"
    lines[whole].to_csv(part, index=False)
    maps = [argument for header, column in ORDER_COLUMNS.items() for argument in ("--map", f"{header}={column}")]
    assert "0 orders created, 0 updated" in shop.run("import", "orders", str(part), *maps)
