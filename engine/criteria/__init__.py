"""Criteria: JSON <-> checked tree -> Ibis expression, and the sentence that says it.

- `operators`   the one table of operators; `comparisons` what they ask of a column
- `nodes`       the checked tree; every node writes itself back as JSON
- `parse`       JSON -> tree; anything not understood is an error with its path; `reading` what stands in one condition
- `rows`, `expression`   tree -> Ibis
- `sentence`    tree -> English and Simplified Chinese
"""

from engine.criteria import moves, reach, sample
from engine.criteria.expression import people, select
from engine.criteria.nodes import Criteria, Node, walk
from engine.criteria.parse import EVERYONE, parse
from engine.criteria.sentence import phrase, sentence

moves.register()
reach.register()
sample.register()


def to_json(criteria: Criteria) -> dict[str, object]:
    """Criteria as they are stored; parsing this gives the same criteria again."""
    written: dict[str, object] = criteria.root.to_json()
    return written if criteria.unit is None else {**written, "unit": criteria.unit}


__all__ = ["EVERYONE", "Criteria", "Node", "parse", "people", "phrase", "select", "sentence", "to_json", "walk"]
