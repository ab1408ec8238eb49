"""The real server after its threads were idle."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from engine import lists
from engine.config import Config
from engine.database import Database
from tests.served import Served
from web.services import utcnow

IDLE = 34  # the server ends threads that had nothing to do for 30 s


def test_the_server_outlives_its_threads(config: Config, database: Database) -> None:
    """Rows in memory, as an export and a profile ask by, once took the whole process along when a thread ended."""
    if not database.is_sqlite:
        return  # the same process, whatever the database
    with database.begin() as session:
        made = lists.save(session, None, "Everyone", {"all": []}, now=utcnow())
        list_id = made.id
    people = {"contacts": [{"key": f"C{number}", "attributes": {"size": number}} for number in range(300)]}
    with Served(config, database) as served:
        with closing(served.client()) as client:
            assert served.post(client, "/api/v1/contacts", json.dumps(people).encode())[0] == 200

        def ask(number: int) -> int:
            path = f"/api/v1/lists/{list_id}/{('export.csv', 'profile')[number % 2]}"
            with closing(served.client()) as one:
                one.request("GET", path, headers=served.headers)
                answer = one.getresponse()
                answer.read()
                return answer.status

        with ThreadPoolExecutor(10) as pool:
            assert 200 in set(pool.map(ask, range(20))) <= {200, 503}  # 503: as many as may look at once do
        time.sleep(IDLE)
        assert ask(0) == 200
