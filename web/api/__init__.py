"""The REST API under /api/v1: one file per noun, keys with scopes, one error shape, OpenAPI.

A noun's file:

    blueprint = APIBlueprint("lists", __name__, tag="Lists")

    @blueprint.get("/lists/<int:list_id>")
    @needs("lists:read")
    @blueprint.output(ListOut)
    def show(list_id: int) -> ...:
        with services().database.read() as session:
            ...

Errors are raised from `engine.errors`; `web.errors` turns them into {"error": {"code", "message", "field"}}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apiflask import APIFlask


def register(app: APIFlask) -> None:
    """Put the API on `app`. Its nouns are loaded only now: seconds that a command for keys does not need."""
    from web.api import root  # noqa: PLC0415

    root.register(app)
