"""The warehouse: a columnar copy of the SQL tables in Delta Lake files, queried through Ibis on DuckDB.

SQL is the truth; the copy can be deleted and rebuilt at any time (docs/why.md, "The warehouse").

- `tables`   which tables are copied (`Mirror`) or computed from copies (`Derived`); upper packages `register` theirs
- `extract`  one SQL snapshot, read as Arrow
- `parts`    one Delta table: parts of rows in id order, changed by one atomic commit
- `current`  the small file that names the files which belong together, and the locks
- `reader`   DuckDB and Ibis over those files, for many threads
- `guard`    how many questions at once, and for how long
- `fill`      one pass over all tables
- `pipeline`  reading, parsing and writing at the same time
- `warehouse` `Warehouse`: refresh, rebuild, table, execute
"""

from engine.warehouse.fill import Progress
from engine.warehouse.tables import Derived, Mirror, register
from engine.warehouse.warehouse import Pin, Refreshed, Warehouse

__all__ = ["Derived", "Mirror", "Pin", "Progress", "Refreshed", "Warehouse", "register"]
