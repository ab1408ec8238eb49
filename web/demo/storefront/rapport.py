"""What the shop's server says to Rapport, by the API alone: orders, the stock they leave, who bought. An order is told
until it is known: it waits in the shop's database while Rapport is away, and every call may be repeated.
"""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from sqlalchemy import RowMapping

from engine.database import Database
from engine.money import to_decimal
from web.demo.storefront import store
from web.demo.storefront.settings import Settings
from web.services import utcnow

TIMEOUT: Final = 5.0
PAUSE: Final = 3.0  # seconds between tries while Rapport is away
ANSWER: Final = 1 << 20
AMOUNTS: Final = frozenset({"unit_price", "discount"})  # of a line

Order = Mapping[str, Any] | RowMapping  # a row of the shop's orders

log = logging.getLogger(__name__)


class Refused(Exception):
    """Rapport will never take this."""


class Away(Exception):
    """Rapport does not answer, or not now."""


class Rapport:
    """The API, with the shop's secret key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, kind: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Records of contacts, items, orders or events; raises Refused and Away."""
        if records:
            told = self._call("POST", f"/api/v1/{kind}", {kind: list(records)})
            if told.get("rejected"):
                raise Refused(f"{kind}: {told['rejected'][0]['message']}")

    def contact_id(self, key: str) -> int | None:
        """By which number Rapport's pages know a contact."""
        with suppress(Refused):
            return int(self._call("GET", f"/api/v1/contacts/{quote(key, safe='')}")["id"])
        return None

    def bundles(self, currency: str, patience: float) -> list[dict[str, Any]]:
        """Sets on sale in a currency, as Rapport tells them; raises Refused, and Away after so many seconds."""
        told = self._call("GET", "/api/v1/bundle-offers", patience=patience)
        return [one for one in told["offers"] if one["currency"] == currency]

    def signature(self, key: str) -> str:
        """Of `rapport('identify', {customer: key})`, as docs/tracking.md has it for any shop."""
        return hmac.new(self._settings.secret.encode(), f"customer:{key}".encode(), "sha256").hexdigest()

    def _call(self, method: str, path: str, body: Any = None, patience: float = TIMEOUT) -> dict[str, Any]:
        place = urlsplit(self._settings.rapport)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.hostname or "", place.port, timeout=patience)
        headers = {"Authorization": f"Bearer {self._settings.key}", "Content-Type": "application/json"}
        try:
            connection.request(method, place.path.rstrip("/") + path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            told = answer.read(ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise Away(repr(error)) from error
        finally:
            connection.close()
        if answer.status >= 500 or answer.status in (401, 403, 408, 429):
            raise Away(f"HTTP {answer.status}")  # a key can be mended
        try:
            found: dict[str, Any] = json.loads(told)
        except ValueError as error:
            raise Away("no JSON") from error
        if answer.status >= 400:
            raise Refused(str(found.get("error", {}).get("message", answer.status)))
        return found


class Teller:
    """Tells orders, one after the other, from a thread of its own."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._rapport, self._settings, self._database = Rapport(settings), settings, database
        self._wake, self._ends = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def start(self) -> None:
        """Begin, with what waits from last time."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End after the order in hand."""
        self._ends.set()
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """There is an order."""
        self._wake.set()

    def tell_all(self, now: datetime) -> int:
        """Tell what waits; how many orders. Raises Away."""
        with self._database.read() as session:
            waiting = store.untold(session)
        for order in waiting:
            self.tell(order, now)
        return len(waiting)

    def tell(self, order: Order, now: datetime) -> None:
        """Everything about one order. Raises Away; what is refused is noted and not tried again."""
        with self._database.read() as session:
            who = store.person(session, order["person"])
            stock = store.stock_of(session, [line["item"] for line in order["lines"]])
        assert who is not None
        try:
            self._rapport.send("contacts", [contact(who, consent=order["consent"])])
            self._rapport.send("items", [{"key": key, "stock": left} for key, left in stock.items()])
            self._rapport.send("orders", [record(order, self._settings.currency)])
            self._rapport.send("events", identify(order))
        except Refused as error:
            log.warning("Rapport refused order %s: %s", order["key"], error)
            settled: dict[str, Any] = {"refused": str(error)[:500]}
        else:
            settled = {"told_at": now}
        with self._database.begin() as session:
            store.settle(session, order["key"], **settled)

    def _run(self) -> None:
        while not self._ends.is_set():
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._ends.is_set() and self.tell_all(utcnow()):
                    pass
                continue
            except Away as error:
                log.warning("Rapport is away (%s); orders wait", error)
            except Exception:
                log.exception("orders wait")
            if not self._ends.wait(PAUSE):
                self._wake.set()


def contact(who: store.Person, *, consent: bool) -> dict[str, Any]:
    """A person as a record; without the tick nothing is said of consent, so an earlier yes stays."""
    told = {"key": who.key, "email": who.email, "first_name": who.first_name, "last_name": who.last_name}
    return {name: value for name, value in told.items() if value} | ({"email_consent": True} if consent else {})


def record(order: Order, currency: str) -> dict[str, Any]:
    """An order as a record."""
    return {
        "order": order["key"],
        "at": order["at"].isoformat(),
        "contact": order["person"],
        "channel": "web",
        "currency": currency,
        "lines": [
            line | {name: str(to_decimal(line[name])) for name in AMOUNTS & line.keys()} for line in order["lines"]
        ],
    }


def identify(order: Order) -> list[dict[str, Any]]:
    """Whose browser it was, if it has a name."""
    if not order["visitor"]:
        return []
    told = {"key": f"order-{order['key']}", "type": "identify", "at": order["at"].isoformat(), "origin": "web"}
    return [told | {"contact": order["person"], "visitor": order["visitor"]}]
