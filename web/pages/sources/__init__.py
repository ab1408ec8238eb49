"""Sources: the doors people come in by, how many came, and what makes more of them come.

- `index`    all doors side by side
- `forms`    forms and surveys: made, shown, answered
- `flyers`   printed codes
- `calls`    what is written down at the telephone
"""

from web.pages.sources import calls, flyers, forms, index
from web.pages.sources.door import blueprint

__all__ = ["blueprint", "calls", "flyers", "forms", "index"]
