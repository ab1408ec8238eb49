"""The addresses of sources."""

from flask import Blueprint

blueprint = Blueprint("sources", __name__, url_prefix="/sources")
