"""Ways to find candidates. Each learns with `fit`, answers with `candidates`, and says why with `explain`."""

from __future__ import annotations

from typing import Final

from recommender.sources.base import Source
from recommender.sources.collaborative import Collaborative
from recommender.sources.popular import Newest, Popular, PopularInCategory, Trending
from recommender.sources.rules import Rules

SOURCES: Final[dict[str, type[Source]]] = {
    source.name: source for source in (Rules, Collaborative, Trending, PopularInCategory, Popular, Newest)
}
