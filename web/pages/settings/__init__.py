"""Settings: who I am, keys of the API, how messages leave, what data there is.

- `index`   one's own account, sending, data
- `keys`    keys of programs and of web pages
"""

from web.pages.settings import index, keys
from web.pages.settings.door import blueprint

__all__ = ["blueprint", "index", "keys"]
