"""docs/criteria.md with what all packages know: `python -m web.criteria > docs/criteria.md`."""

from __future__ import annotations

import sys

import campaigns
import recommender
from engine.criteria.document import markdown

TAUGHT = (campaigns, recommender)  # each adds its criteria when it is imported

if __name__ == "__main__":
    sys.stdout.write(markdown())
