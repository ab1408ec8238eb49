"""Lists: saved criteria (dynamic), or the people they found on a day (frozen).

Freezing happens in place: the criteria stay as the record of how the people were found, and can no longer be
changed; `copy` gives a dynamic list to go on with. A deleted list can be brought back for 30 days.
"""

from engine.lists.download import export_csv
from engine.lists.following import Followed, follow, growth, joined_by
from engine.lists.overlap import overlaps
from engine.lists.people import count, count_again, freeze, load, member_ids, members, page, recount, whole
from engine.lists.picking import kept_on, pick, pick_keys, picks, recognise, unpick
from engine.lists.profiles import profile
from engine.lists.saved import NAME_LIMIT, behind, browse, copy, get, rename, restore, save, users_of
from engine.lists.saved import put_away as delete
from engine.lists.versioning import Reading, difference, reading, revert, version_of, versions
from engine.preview import Clause, Person, Preview, preview

__all__ = [
    "NAME_LIMIT",
    "Clause",
    "Followed",
    "Person",
    "Preview",
    "Reading",
    "behind",
    "browse",
    "copy",
    "count",
    "count_again",
    "delete",
    "difference",
    "export_csv",
    "follow",
    "freeze",
    "get",
    "growth",
    "joined_by",
    "kept_on",
    "load",
    "member_ids",
    "members",
    "overlaps",
    "page",
    "pick",
    "pick_keys",
    "picks",
    "preview",
    "profile",
    "reading",
    "recognise",
    "recount",
    "rename",
    "restore",
    "revert",
    "save",
    "unpick",
    "users_of",
    "version_of",
    "versions",
    "whole",
]
