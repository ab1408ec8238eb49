"""Imports: a file comes in step by step, and what came in before.

- `arriving`   a kind and a file are chosen
- `checking`   what its columns become, how it finds people, and a check of the whole
- `running`    how far it is; taken in, stopped, discarded
- `past`       what came in before (`web.pages.undo` takes it back)
"""

from web.pages.imports import arriving, checking, past, running
from web.pages.imports.door import blueprint

__all__ = ["arriving", "blueprint", "checking", "past", "running"]
