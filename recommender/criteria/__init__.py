"""Criteria that read what a training knows, or what is usual: who is likely to buy, who lacks what a rule says, who
leans to a category, who is due to buy again.

- `published`   the training that serves, opened once
- `likely`, `rule`, `affinity`, `due`   a kind of leaf each
"""

from engine.criteria.scored import register_kind
from recommender.criteria import affinity, due, likely, rule

__all__ = ["register"]


def register() -> None:
    """Let criteria know all of this."""
    for kind in (likely.KIND, rule.KIND, affinity.KIND, due.KIND):
        register_kind(kind)
