"""WHEN we speak, on WHICH channel, and whether it PAID."""

from typing import cast

from sqlalchemy import Table

from campaigns import criteria
from campaigns.forgetting import forget
from campaigns.models import Send
from engine import contacts, identity
from engine.warehouse import Mirror, register

# The ledger as lists and analyses may see it: no address, nothing of the sender's own.
register(
    Mirror(
        cast(Table, Send.__table__),
        (
            *("firing_id", "campaign_id", "variant_id", "contact_id", "channel", "state", "reason"),
            *("accepted_at", "outcome", "opened_at", "clicked_at", "created_at"),
        ),
    )
)
contacts.on_erase(forget)
# Who got two sends of one firing before they turned out to be one keeps the second where it was.
identity.move_with_contacts(identity.Moved(cast(Table, Send.__table__), ("firing_id", "step", "channel")))
criteria.register()
