"""The addresses of settings, and the tabs above them."""

from flask import Blueprint, request
from flask_babel import lazy_gettext

from web import security

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

TABS = (
    ("settings.index", lazy_gettext("Profile")),
    ("settings.keys", lazy_gettext("API keys")),
    ("settings.sending", lazy_gettext("Sending")),
    ("settings.data", lazy_gettext("Data")),
)


@blueprint.context_processor
def _tabs() -> dict[str, object]:
    return {"tabs": [tab for tab in TABS if security.may(tab[0])], "endpoint": request.endpoint}
