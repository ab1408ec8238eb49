"""Delivery: a crash at any moment loses no message and sends none twice. docs/why.md, "The send ledger"."""

from campaigns.delivery.ledger import requeue_unknown
from campaigns.delivery.sender import Evidence, Render, Sender

__all__ = ["Evidence", "Render", "Sender", "requeue_unknown"]
