"""Recommendations: what each placement would offer whom and why, where it is edited, and which training serves."""

from __future__ import annotations

from web.pages.recommendations import (
    bundles,
    compare,
    comparison,
    health,
    index,
    placement,
    playground,
    results,
    rules,
    trainings,
)
from web.pages.recommendations.door import blueprint

__all__ = [
    "blueprint",
    "bundles",
    "compare",
    "comparison",
    "health",
    "index",
    "placement",
    "playground",
    "results",
    "rules",
    "trainings",
]
