"""Recommendations: what each placement would offer whom and why, where it is edited, and which training serves."""

from __future__ import annotations

from web.pages.recommendations import placement
from web.pages.recommendations.index import blueprint

__all__ = ["blueprint", "placement"]
