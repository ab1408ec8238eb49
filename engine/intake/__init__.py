"""The one door in: contacts, items, orders and events from files and the API.

Idempotent by key, exact, every refused record reported. The way: source -> columns of cells -> columns of values and
rejects -> (a file: staged and sorted by key) -> set-based write.
"""

from engine.intake.files import Reading, import_file
from engine.intake.finding import FIND, WINS
from engine.intake.forecast import Forecast
from engine.intake.kinds import KINDS, Column, Kind
from engine.intake.parsing import Reject
from engine.intake.requests import Accepted, Call, accept, read, write
from engine.models import Import

__all__ = [
    "FIND",
    "KINDS",
    "WINS",
    "Accepted",
    "Call",
    "Column",
    "Forecast",
    "Import",
    "Kind",
    "Reading",
    "Reject",
    "accept",
    "import_file",
    "read",
    "write",
]
