"""Campaigns: plan and write one, watch it go out, read what it caused.

- `index`    all of them; new, copied, deleted
- `compose`  a draft: one page, everything saved at each edit (`form` reads it, `draft` holds what is shown)
- `run`      on its way: progress, pause, cancel
- `report`   what it earned
"""

from web.pages.campaigns import compose, index, report, run
from web.pages.campaigns.door import blueprint

__all__ = ["blueprint", "compose", "index", "report", "run"]
