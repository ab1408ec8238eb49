"""Ways to find candidates. Each learns with `fit`, answers with `candidates`, and says why with `explain`."""

from __future__ import annotations

from typing import Final

from recommender.sources.base import Source
from recommender.sources.bundles import Bundles
from recommender.sources.buy_again import BuyAgain
from recommender.sources.collaborative import Collaborative
from recommender.sources.next_purchase import NextPurchase
from recommender.sources.popular import Newest, Popular, PopularInCategory, Trending
from recommender.sources.rules import Rules
from recommender.sources.session import Session
from recommender.sources.similar import Similar
from recommender.sources.upsell import UpSell

_ALL: Final[tuple[type[Source], ...]] = (
    Rules, Collaborative, NextPurchase, Session, Similar, UpSell, Trending, PopularInCategory, Popular, Newest,
)  # fmt: skip
SOURCES: Final[dict[str, type[Source]]] = {source.name: source for source in _ALL}
# What a placement may name: bundles are made, and what is bought again is part of what is bought next.
NAMES: Final = (Bundles.name, *SOURCES, BuyAgain.name)
# These look at what a contact did whatever is looked at now; all others only where nothing is.
PERSONAL_SOURCES: Final = frozenset({Collaborative.name, NextPurchase.name, BuyAgain.name})
