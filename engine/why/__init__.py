"""Why somebody is on a list, or not: what each criterion says of them, what made it so, and when that will change.

- `facts`    values and rows of a few contacts, from the warehouse
- `person`   what a leaf says of one of them at any moment, in plain Python
- `courses`  the moments at which verdicts change
- `tree`     the criteria's tree with all of this, for each of them
"""

from engine.why.tree import MOST, Event, Finding, Why, explain, why

__all__ = ["MOST", "Event", "Finding", "Why", "explain", "why"]
