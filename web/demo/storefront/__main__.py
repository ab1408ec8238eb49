"""`python -m web.demo.storefront SETTINGS`: serve until stopped; `rapport demo` starts it."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from granian import Granian
from granian.constants import Interfaces

from web import lifeline
from web.demo.storefront import settings

lifeline.follow()
os.environ[settings.VARIABLE] = sys.argv[1]
place = urlsplit(settings.read(Path(sys.argv[1])).url)
Granian(
    "web.demo.storefront.app:create",
    address=place.hostname or "127.0.0.1",
    port=place.port or 80,
    interface=Interfaces.WSGI,
    factory=True,
    workers=1,
    blocking_threads=4,
    websockets=False,
    log_enabled=False,
).serve()
