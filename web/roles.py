"""Who may do what. A marketer may do everything but what stands here; an administrator may do that, too.

Here stands what lets somebody in, how messages leave, and what nobody can bring back. A deleted list or campaign can be
brought back, so a marketer may delete it; and undo an import, as whoever may bring a file in may take it back: the same
file brings back what goes, the rest stays. Both are of one role (a test asks).
"""

from __future__ import annotations

from typing import Final

ROLES: Final = ("marketer", "admin")

# Views by their endpoints; a page of settings stands here or changes one's own account only (a test asks).
ADMIN: Final = frozenset(
    {
        "contacts.erase",
        "settings.add_browser_key",
        "settings.add_key",
        "settings.browser_key",
        "settings.data",
        "settings.keys",
        "settings.refresh",
        "settings.revoke_key",
        "settings.save_browser_key",
        "settings.sending",
    }
)


def may(role: str, endpoint: str) -> bool:
    """Whether somebody of this role may open or send what the view at `endpoint` does."""
    return role == "admin" or endpoint not in ADMIN
