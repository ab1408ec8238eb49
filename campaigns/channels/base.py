"""What every transport takes, gives and raises: one verb, one error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from sqlalchemy.orm import Session

Crossing = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered message to one person. `message_id` never changes between attempts and begins with the send's
    number: `<send id>.<mac>@<domain>` in angle brackets. `headers` go out as they are (List-Unsubscribe ...). `items`:
    ids of the items offered; `recommendation_id`: by which answer, if that was a variant of a comparison. A test
    message has `send_id` 0.
    """

    send_id: int
    channel: str
    to: str
    subject: str
    html: str | None
    text: str
    message_id: str
    from_address: str
    from_name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    items: Sequence[int] = ()
    recommendation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rendering decided not to send: `reason` is kept in the ledger."""

    reason: str
    state: Literal["suppressed", "expired", "failed"] = "suppressed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The far end took the message. `record` is written in the transaction that accepts the send."""

    provider_id: str | None = None
    record: Callable[[Session], None] | None = None


class TransportError(Exception):
    """The message certainly did not go out: nothing crossed, or the far end said no in words.

    `concerns` tells whose fault it is: this `message`; the `transport`, through which nobody gets just now (tried
    again later, not counted as an attempt); or our `account` (log-in, policy), which only a human can put right.
    `permanent`: never try this message again. `suppress`: never speak to this address again, with that reason.
    `retry_after`: seconds the far end asked for.
    """

    def __init__(
        self,
        message: str,
        permanent: bool = False,
        *,
        suppress: str | None = None,
        retry_after: float | None = None,
        concerns: Literal["message", "transport", "account"] = "message",
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.suppress = suppress
        self.retry_after = retry_after
        self.concerns = concerns


class Silence(Exception):
    """No answer after the point of no return: the message may be out. Never a reason to send again blindly."""


class Fenced(Exception):
    """Raised by `crossing()`: this message must not go out now. The transport lets it through and leaves its
    connection as if nothing had happened, or closes it.
    """


class Transport(ABC):
    """One connection to one carrier; used by one thread."""

    resolve_after: timedelta | None = None  # how old a silence must be before a missing message proves it was not sent

    @abstractmethod
    def send(self, message: Message, crossing: Crossing) -> Receipt:
        """Hand `message` over. Calls `crossing()` once, at the last moment at which nothing is on the wire yet; when
        that raises, nothing is sent. Raises TransportError or Silence.
        """

    def evidence(self, session: Session, send_ids: Sequence[int]) -> set[int] | None:
        """Those of `send_ids` that the receiver certainly has; None: it cannot be asked."""
        return None

    def close(self) -> None:  # noqa: B027
        """Give the connection back."""
