"""An import is taken back as a whole.

What it created goes, unless somebody changed it since or something else hangs on it; what it changed gets its former
values, field by field, unless they were changed again; orders it replaced come back. A yes it brought is as if never
said, a no stays. A transaction for each row of the journal, marked there: an undo that was killed goes on where it was.
"""

from engine.intake.undo.run import begin, check, is_held, may, preview, shares, told, undo
from engine.intake.undo.work import Tally

__all__ = ["Tally", "begin", "check", "is_held", "may", "preview", "shares", "told", "undo"]
