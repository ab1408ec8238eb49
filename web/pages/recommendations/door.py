"""The addresses of recommendations, and the tabs above their pages."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint
from flask_babel import lazy_gettext

blueprint = Blueprint("recommendations", __name__, url_prefix="/recommendations")

# Endpoint and words; a tab whose endpoint is not there is not shown. The page hands its own to the macro `tabs`.
TABS: Final = (
    ("recommendations.index", lazy_gettext("Placements")),
    ("recommendations.all_comparisons", lazy_gettext("Comparisons")),
    ("recommendations.rules", lazy_gettext("Rules")),
    ("recommendations.all_bundles", lazy_gettext("Bundles")),
    ("recommendations.trainings", lazy_gettext("Trainings")),
    ("recommendations.catalogue", lazy_gettext("Catalogue")),
    ("recommendations.playground_page", lazy_gettext("Playground")),
)


@blueprint.app_context_processor
def _tabs() -> dict[str, Any]:
    return {"recommendation_tabs": TABS}
