"""The API's door for recommendations, for people who are logged in: the same view, past the key."""

from __future__ import annotations

from typing import Final

from flask import current_app, g
from flask.typing import ResponseReturnValue

from web.api.access import Known
from web.security import user

DOOR: Final = "api.recommendations.recommend"


def ask() -> ResponseReturnValue:
    """What the API answers to the body of this request. It reads only what any user may read on the pages."""
    g.api_key = Known(0, user().name, ["recommendations:read"], None)
    return current_app.ensure_sync(current_app.view_functions[DOOR])()  # type: ignore[no-any-return]
