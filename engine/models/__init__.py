"""Tables of the engine. Amounts are ten-thousandths of the currency unit (engine.money), moments are UTC.

`revision` marks the transaction that wrote a row last; the warehouse copies by it (engine.database).
"""

from engine.models.changes import Deletion, Revision, Watermark
from engine.models.lists import ContactList, ListBlock, ListDay, ListMember, ListPick, ListState, ListVersion
from engine.models.people import (
    BUCKETS,
    CHANNELS,
    Consent,
    Contact,
    Identity,
    Merge,
    MergedPlace,
    MergedRow,
    OwnFacts,
    Suppression,
    new_bucket,
)
from engine.models.shop import OWN_KEYS, Event, Item, Order, OrderLine
from engine.models.sources import Flyer, Form, Import, ImportChange

__all__ = ["BUCKETS", "CHANNELS", "OWN_KEYS", "Consent", "Contact", "ContactList", "Deletion", "Event", "Flyer",
           "Form", "Identity", "Import", "ImportChange", "Item", "ListBlock", "ListDay", "ListMember",
           "ListPick", "ListState", "ListVersion", "Merge", "MergedPlace", "MergedRow", "Order",
           "OrderLine", "OwnFacts", "Revision", "Suppression", "Watermark", "new_bucket"]  # fmt: skip
