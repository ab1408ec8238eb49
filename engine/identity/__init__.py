"""Who is who: visitors that become contacts, and contacts that turn out to be one person (docs/identity.md).

- `visitors`  a browser's anonymous name, and the contact it is known to be
- `names`     contacts known by a card, an e-mail address or a telephone instead of a customer number
- `linking`   the rule by which these join the customer that a record names them with
- `merging`   two contacts become one, and are separate again
- `rows`, `facts`, `places`  what a merge does to history, attributes and places on lists
- `duplicates`, `report`     likely duplicates; how many are known where
"""

from engine.identity.linking import is_used, linked, prove, settle
from engine.identity.merging import erased, join, kept, members, part, unfolded
from engine.identity.names import FORM, KINDS, alone, is_provisional
from engine.identity.rows import Moved, disown, move_with_contacts, owners, rehome
from engine.identity.visitors import (
    IDENTIFY,
    VISITOR,
    contact_of_visitor,
    contacts_of_visitors,
    hold,
    identify,
    mistaken,
    owners_of_visitors,
    visitors_of,
)

__all__ = ["FORM", "IDENTIFY", "KINDS", "VISITOR", "Moved", "alone", "contact_of_visitor", "contacts_of_visitors",
           "disown", "erased", "hold", "identify", "is_provisional", "is_used", "join", "kept", "linked", "members",
           "mistaken", "move_with_contacts", "owners", "owners_of_visitors", "part", "prove", "rehome", "settle",
           "unfolded", "visitors_of"]  # fmt: skip
