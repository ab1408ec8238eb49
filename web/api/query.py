"""What an address may carry after its question mark: what its view's schema names, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app, request

from engine.errors import Invalid, nearest


def check() -> None:
    """Before every API view: raise Invalid for a parameter that the view does not read. One that is misspelt would
    answer another question: `?wrods=ann` all contacts.
    """
    known = parameters(current_app.view_functions[request.endpoint or ""])
    for name in request.args:
        if name not in known:
            hint = nearest(name[:80], known) if known else " This address takes none; leave it out."
            raise Invalid(f"Unknown query parameter '{name[:80]}'.{hint}", field=name[:80])


def parameters(view: Callable[..., Any]) -> frozenset[str]:
    """The names that a view's schemas of the query give."""
    schemas = (schema for schema, location in getattr(view, "_spec", {}).get("args", ()) if location == "query")
    return frozenset(field.data_key or name for schema in schemas for name, field in schema.fields.items())
