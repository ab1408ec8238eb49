"""The pages files come in by: chosen, mapped, checked, imported; and what they refuse in words."""

from __future__ import annotations

import gzip
import io
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from campaigns import scheduler
from engine import consent, lists
from engine.errors import Unreadable
from engine.intake import KINDS, Import, files
from engine.models import Consent, Contact, Order
from web import importing, shapes
from web.services import EXTENSION, Services, utcnow
from web.uploads import Upload, Uploads

PEOPLE = b"""customer_id,Surname,write to,birthday,email_consent
C1,<b>Lee</b>,ann@shop.example,1980-03-31,true
C2,Chen,bo@shop.example,1999-12-01,false
C3,Bad,not-an-address,1999-12-01,
C4,Worse,dora@shop.example,yesterday,
"""


@pytest.fixture
def uploads(services: Services) -> Uploads:
    """The folder of this workspace."""
    return Uploads(services.config.folder / "uploads")


def send(
    client: FlaskClient, content: bytes, name: str = "people.csv", kind: str = "contacts", **more: str
) -> TestResponse:
    """Upload a file as the form does."""
    file = FileStorage(io.BytesIO(content), name)
    boundary, body = encode_multipart({"kind": kind, **more, "file": file})
    return client.post("/imports/uploads", data=body, content_type=f"multipart/form-data; boundary={boundary}")


def mapped(client: FlaskClient, answer: TestResponse) -> str:
    """The address of an upload that could be read."""
    assert answer.status_code == 303, answer.text
    assert client.get(answer.location).status_code == 200
    return answer.location.removesuffix("/columns")


def done(client: FlaskClient, address: str) -> str:
    """Wait until nobody works on it, as the page does; the page that follows."""
    for _ in range(200):
        answer = client.get(f"{address}/progress", headers={"HX-Request": "true"})
        if "HX-Redirect" in answer.headers:
            page = client.get(answer.headers["HX-Redirect"], follow_redirects=True)
            assert page.status_code == 200
            return page.text
        time.sleep(0.02)
    raise AssertionError(answer.text)


def step(client: FlaskClient, address: str, word: str, **data: str) -> str:
    """Start a step and wait for its end."""
    assert client.post(f"{address}/{word}", data=data).status_code == 303
    return done(client, address)


def left(services: Services) -> list[str]:
    """Names of the files in the folder of uploads."""
    return sorted(path.name for path in (services.config.folder / "uploads").glob("*"))


def test_a_file_comes_in_step_by_step(services: Services, marketer: FlaskClient) -> None:
    """Mapped, checked without a word written, imported; bad rows wait in a file; the warehouse sees the good ones."""
    address = mapped(marketer, send(marketer, PEOPLE, "..\\shop/<i>people</i>.csv"))
    page = marketer.get(f"{address}/columns").text
    assert "&lt;i&gt;people&lt;/i&gt;.csv" not in page  # a path is cut to its last part
    assert "&lt;b&gt;Lee&lt;/b&gt;" in page
    assert "1 column is left out" in page
    marketer.post(f"{address}/columns", data={"column-2": "email"})
    assert "1 of the first 4 cannot be read: &#39;not-an-address&#39;" in marketer.get(f"{address}/columns").text

    checked = step(marketer, address, "check")
    assert "2 records refused" in checked
    assert "&#39;yesterday&#39; is not a date" in checked
    assert '<th scope="row" class="num line">5</th>' in checked
    assert "not-an-address" in marketer.get(f"{address}/rejects", buffered=True).text
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 0
        assert session.scalar(select(func.count()).select_from(Import)) == 0

    result = step(marketer, address, "import", on_error="keep")
    assert "The good records are in." in result
    assert "See the contacts" in result
    with services.database.read() as session:
        run = session.scalars(select(Import)).one()
        assert (run.file_name, run.created, run.rejected) == ("i>.csv", 2, 2)
        evidence = session.scalars(select(Consent.evidence)).all()
        assert set(evidence) == {"import i>.csv"}
    rejects = marketer.get(f"/imports/{run.id}/rejects", buffered=True)
    assert rejects.headers["Content-Disposition"] == f"attachment; filename=rejects-{run.id}-contacts.csv"
    assert [line.split(",")[0] for line in rejects.text.splitlines()] == ["\ufeffline", "4", "5"]
    contacts = services.warehouse.table("contacts")
    assert services.warehouse.execute(contacts.count())[0][0].as_py() == 2
    assert [name.rpartition(".")[2] for name in left(services)] == ["json"]
    assert len(list((services.config.folder / "rejects").iterdir())) == 1


def test_refused_records_are_mended_in_rounds(marketer: FlaskClient) -> None:
    """The file of refused records shows the columns of the file it came of, and its own faults when it is checked."""
    content = PEOPLE.replace(b"Bad", b"=Bad")
    for refused, line in (("2 records refused", 4), ("1 record refused", 3)):
        address = mapped(marketer, send(marketer, content))
        page = marketer.get(f"{address}/columns").text
        assert "customer_id" in page
        assert "message" not in page
        assert "&#39;=Bad" not in page
        marketer.post(f"{address}/columns", data={"column-2": "email"})
        checked = step(marketer, address, "check")
        assert refused in checked
        assert f'<th scope="row" class="num line">{line}</th>' in checked
        content = marketer.get(f"{address}/rejects", buffered=True).data.replace(
            b",not-an-address,", b",cy@shop.example,"
        )
    assert content.startswith("\ufeffline,field,message,customer_id,Surname,".encode())


def test_refuse_the_whole_file(services: Services, marketer: FlaskClient) -> None:
    """One bad record, and nothing is written."""
    address = mapped(marketer, send(marketer, PEOPLE))
    step(marketer, address, "check", mapped="1", **{"column-2": "email"})
    assert "Nothing was written" in step(marketer, address, "import", on_error="refuse")
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Contact)) == 0


def test_the_same_file_twice_changes_nothing(marketer: FlaskClient, services: Services) -> None:
    """The check says so before, and the import does so."""
    for created in (2, 0):
        address = mapped(marketer, send(marketer, PEOPLE[: PEOPLE.index(b"C3")]))
        checked = step(marketer, address, "check")
        assert ("importing would change nothing" in checked) == (created == 0)
        assert "Everything is in." in step(marketer, address, "import")
    with services.database.read() as session:
        assert session.scalars(select(Import.created).order_by(Import.id)).all() == [2, 0]


@pytest.mark.parametrize("name", list(KINDS))
def test_examples_can_be_imported(marketer: FlaskClient, name: str) -> None:
    """Every example is taken as it is, without a question."""
    text = marketer.get(f"/imports/examples/{name}.csv").data
    address = mapped(marketer, send(marketer, text, f"{name}.csv", name))
    assert "left out" not in marketer.get(f"{address}/columns").text
    assert "The one record is good." in step(marketer, address, "check")
    assert "Everything is in." in step(marketer, address, "import")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and so on", "Excel workbook; save it as CSV"),
        (b"PAR1 and so on", "damaged Parquet file"),
        (gzip.compress(PEOPLE, mtime=0)[:-20], "damaged gzip file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\xfd", "is not text in"),
        (b'key,"email\nC1,ann@shop.example\n', "A quote opens in this line and is not closed"),
        (b",".join(b"c%d" % n for n in range(600)) + b"\n", "at most 500 can be chosen"),
    ],
)
def test_a_file_that_cannot_be_read(services: Services, marketer: FlaskClient, content: bytes, words: str) -> None:
    """422, the form again with words that name the file as its owner does, and nothing kept."""
    answer = send(marketer, content, "mine.csv")
    assert answer.status_code == 422
    assert words in answer.text
    assert "mine.csv" in answer.text
    assert left(services) == []


def test_no_file_or_no_kind(services: Services, marketer: FlaskClient) -> None:
    """The form says what is missing."""
    for data in ({"kind": "contacts"}, {"kind": "contacts", "file": (io.BytesIO(b""), "")}):
        answer = marketer.post("/imports/uploads", data=data, content_type="multipart/form-data")
        assert answer.status_code == 422
        assert "Choose a file." in answer.text
    assert "There is no kind" in send(marketer, PEOPLE, kind="moons").text
    assert left(services) == []


def test_too_large(services: Services, marketer: FlaskClient) -> None:
    """413 with the limit and the way out, whether the bytes are too many or what they unpack to; nothing is kept."""
    tight = replace(services.config, intake=replace(services.config.intake, max_upload_mb=1))
    marketer.application.extensions[EXTENSION] = replace(services, config=tight)
    answer = send(marketer, b"key\n" + b"x" * 2**21)
    assert answer.status_code == 413
    assert "larger than 1 MiB. Cut it into parts" in answer.text
    answer = send(marketer, gzip.compress(b"key\n" + b"C1,\n" * 2**20), "bomb.csv.gz")
    assert answer.status_code == 413
    assert "bomb.csv.gz holds more than 1 MiB" in answer.text
    assert left(services) == []


def test_only_this_address_takes_large_bodies(marketer: FlaskClient) -> None:
    """Every other form keeps the limit of one request."""
    marketer.application.config["MAX_CONTENT_LENGTH"] = 2**20
    assert send(marketer, b"key\n" + b"C1\n" * 2**19).status_code == 303
    assert marketer.post("/settings/profile", data={"name": "x" * 2**21}).status_code == 413


def test_a_stranger_or_another_site_uploads_nothing(
    services: Services, client: FlaskClient, marketer: FlaskClient
) -> None:
    """Without log-in nothing is read; without the token of the page what came is deleted."""
    assert send(client, PEOPLE).status_code == 401
    marketer.headers = {}  # type: ignore[attr-defined]
    assert send(marketer, PEOPLE).status_code == 403
    assert send(marketer, PEOPLE, csrf="wrong").status_code == 403
    assert left(services) == []


def test_spreadsheets_of_the_west(marketer: FlaskClient, services: Services) -> None:
    """Text in no encoding that can be found out is shown as cp1252, with the question; another choice reads it anew."""
    address = mapped(marketer, send(marketer, "key;city\nC1;Besançon\n".encode("cp1252")))
    page = marketer.get(f"{address}/columns").text
    assert "is not text in UTF-8 or GB18030" in page
    assert "Besançon" in page
    assert "Besanзon" in marketer.post(f"{address}/columns", data={"encoding": "cp1251"}).text
    marketer.post(f"{address}/columns", data={"encoding": "cp1252"})
    step(marketer, address, "check")
    step(marketer, address, "import")
    with services.database.read() as session:
        assert session.scalars(select(Contact.city)).all() == ["Besançon"]


ORDERS = "order,date,customer,sku,qty,price\nO1,{},C1,I1,2,4.50\nO2,{},C1,I1,1,4.50\n"


@pytest.mark.parametrize(
    ("times", "found", "faulty"),
    [
        (("31/12/2025 08:05", "02/01/2026 09:00"), "%d/%m/%Y %H:%M", False),
        (("12/31/2025 08:05", "02/01/2026 09:00"), "%m/%d/%Y %H:%M", False),
        (("2025-12-31 08:05", "2026-01-02"), "", False),
        (("02/01/2026 08:05", "03/01/2026 09:00"), "", True),
    ],
)
def test_times_of_other_habits(marketer: FlaskClient, times: tuple[str, str], found: str, faulty: bool) -> None:
    """The one format that fits is taken; when day and month could change places, people are asked."""
    address = mapped(marketer, send(marketer, ORDERS.format(*times).encode(), kind="orders"))
    page = marketer.get(f"{address}/columns").text
    formats = page.partition('name="time_format"')[2].partition("</select>")[0]
    assert f'<option value="{found}" selected>' in formats
    assert ("2 of the first 2 cannot be read" in page) == faulty
    if faulty:
        page = marketer.post(f"{address}/columns", data={"time_format": "%d/%m/%Y %H:%M"}).text
        assert "cannot be read" not in page
        assert "All 2 records are good." in step(marketer, address, "check")


def test_columns_must_fit(marketer: FlaskClient) -> None:
    """A missing column and one given twice are told before the check, which refuses them; own fields can be made."""
    address = mapped(marketer, send(marketer, b"nr,Shoe Size,name\nC1,42,Lee\n"))
    assert "The column key is missing" in marketer.get(f"{address}/columns").text
    assert marketer.post(f"{address}/check", data={"mapped": "1"}).status_code == 422
    twice = marketer.post(f"{address}/columns", data={"column-0": "key", "column-2": "key"}).text
    assert "all mean &#39;key&#39;" in twice
    choices = {"column-0": "key", "column-1": "attributes.Shoe_Size", "column-2": "nonsense", "column-99": "email"}
    marketer.post(f"{address}/columns", data={**choices, "column-2": ""})
    assert "The one record is good." in step(marketer, address, "check", mapped="1")


def test_first_match_takes_the_column() -> None:
    """A header that is the name goes before an alias, and no column is given twice."""
    assert importing.automatic(KINDS["contacts"], ["id", "Customer ID", "KEY", "", "e-mail", "attributes.size"]) == {
        "id": "", "Customer ID": "", "KEY": "key", "e-mail": "email", "attributes.size": "attributes.size",
    }  # fmt: skip


def test_unknown_addresses(marketer: FlaskClient, services: Services) -> None:
    """Nothing outside the folder can be named, and nothing that is not there."""
    (services.config.folder / "rejects").mkdir()
    for address in ("uploads/nothing", f"uploads/{'0' * 32}", "uploads/..%2fsecret", "99", "99/rejects",
                    "examples/moons.csv", f"uploads/{'0' * 32}/rejects"):  # fmt: skip
        assert marketer.get(f"/imports/{address}").status_code == 404, address
    address = mapped(marketer, send(marketer, PEOPLE))
    assert marketer.get(f"{address}/rejects").status_code == 404
    assert marketer.post(f"{address}/import").status_code == 409


def test_discard(marketer: FlaskClient, services: Services) -> None:
    """What is thrown away leaves nothing, nor does its check."""
    address = mapped(marketer, send(marketer, PEOPLE))
    step(marketer, address, "check", mapped="1", **{"column-2": "email"})
    assert marketer.post(f"{address}/discard").status_code == 303
    assert left(services) == []
    assert list((services.config.folder / "rejects").iterdir()) == []  # the check's were moved beside the file


def test_while_it_runs(marketer: FlaskClient, services: Services, uploads: Uploads) -> None:
    """The page shows how far it is and survives loading again; nothing can be changed or started twice."""
    address = mapped(marketer, send(marketer, PEOPLE))
    token = address.rpartition("/")[2]
    state = uploads.find(token)
    with uploads.lock(token):
        state.stage, state.share, state.started_at = "checking", 0.5, utcnow() - timedelta(seconds=30)
        uploads.save(state)
        page = marketer.get(address).text
        assert "Checking, nothing is written" in page
        assert "about 30 seconds left" in page
        assert 'value="50"' in marketer.get(f"{address}/progress", headers={"HX-Request": "true"}).text
        assert "50% done" in marketer.get("/imports").text
        for word in ("check", "columns", "import", "discard"):
            assert marketer.post(f"{address}/{word}").status_code == 409
    assert "It stopped before its end" in marketer.get(address).text
    assert "Stopped" in marketer.get("/imports").text
    assert "2 records are left out" not in step(marketer, address, "check")


def test_a_dead_import_says_so(marketer: FlaskClient, services: Services, uploads: Uploads, now: datetime) -> None:
    """An import without an end that nobody works on never finished; it can be run again from its file."""
    with services.database.begin() as session:
        session.add(Import(kind="contacts", file_name="people.csv", started_at=now))
    assert "Never finished" in marketer.get("/imports").text
    assert "nothing is taken twice" in marketer.get("/imports/1").text
    address = mapped(marketer, send(marketer, PEOPLE[: PEOPLE.index(b"C3")]))
    token = address.rpartition("/")[2]
    step(marketer, address, "check")
    state = uploads.find(token)
    state.stage, state.started_at = "importing", now
    uploads.save(state)
    with uploads.lock(token):
        assert "Running" in marketer.get("/imports").text
        assert "It is running." in marketer.get("/imports/1").text
    assert "a part of it is in" in marketer.get(address).text
    assert "Everything is in." in step(marketer, address, "import")


def test_a_fault_in_the_middle(marketer: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in the background is told in words; what nobody foresaw counts as stopped."""
    address = mapped(marketer, send(marketer, PEOPLE))

    def fail(*_given: object, **_named: object) -> None:
        raise fault

    monkeypatch.setattr(importing, "import_file", fail)
    fault: Exception = Unreadable(f"{address.rpartition('/')[2]} broke.")
    assert "people.csv broke." in step(marketer, address, "check")
    fault = RuntimeError("a bug")
    assert "It stopped before its end" in step(marketer, address, "check")


def test_stopped_by_hand(
    marketer: FlaskClient, services: Services, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check goes back to the columns; an import says what is in, stays so, and the same file brings the rest."""
    content = b"key\n" + b"".join(b"C%02d\n" % number for number in range(40))
    address = mapped(marketer, send(marketer, content))
    token = address.rpartition("/")[2]
    marketer.post(f"{address}/stop")
    assert not uploads.is_stopping(token)  # nobody is at work
    monkeypatch.setattr(files, "WRITE", 10)
    wanted, real = {"checking": 0.0, "importing": 0.7}, importing.import_file

    def press(*given: Any, progress: Callable[[int, int], None], **named: Any) -> Import:
        """The button, once so much is done."""

        def note(done: int, total: int) -> None:
            stage = uploads.find(token).stage
            if stage in wanted and done > total * wanted[stage]:
                del wanted[stage]
                uploads.ask_to_stop(token)
            progress(done, total)

        return real(*given, progress=note, **named)

    monkeypatch.setattr(importing, "import_file", press)
    assert "You stopped the check. Nothing was written." in step(marketer, address, "check")
    assert "All 40 records are good." in step(marketer, address, "check")
    page = step(marketer, address, "import")
    with services.database.read() as session:
        count = session.scalar(select(func.count()).select_from(Contact))
        run = session.scalars(select(Import)).one()
    assert (0 < run.created < 40, run.created) == (True, count)
    assert f"What came in before stays: {count} new contacts, 0 changed; 0 were known as they are." in page
    assert "In part" in marketer.get("/imports").text
    assert "Stopped by hand. What was written by then stays" in marketer.get(f"/imports/{run.id}").text
    assert "Everything is in." in step(marketer, address, "import")
    with services.database.read() as session:
        assert session.scalars(select(Import.created).order_by(Import.id)).all() == [count, 40 - count]
    assert [name.rpartition(".")[2] for name in left(services)] == ["json"]


def test_the_next_file_needs_no_choosing(marketer: FlaskClient, services: Services) -> None:
    """Columns, times and decimals as for the last file with this header, once it came in; clearing is never kept."""
    content = b"nr;Ort;geboren am\nC1;Dover;01/02/1980\nC2;;01/03/1980\n"
    choices = {"column-0": "key", "column-1": "city", "column-2": "birth_date", "time_format": "%d/%m/%Y"}
    address = mapped(marketer, send(marketer, content))
    marketer.post(f"{address}/columns", data={**choices, "empty": "clear"})
    assert "for the last file with this header" not in marketer.get(f"{address}/columns").text
    assert "Empty cells clear what is known." in step(marketer, address, "check")
    step(marketer, address, "import")

    address = mapped(marketer, send(marketer, content.replace(b"Dover", b"Deal")))
    page = marketer.get(f"{address}/columns").text
    assert "for the last file with this header" in page
    assert "Everything needed is there." in page
    assert '<option value="keep" selected>keeps what is known' in page
    assert '<option value="%d/%m/%Y" selected>' in page
    fresh = marketer.post(f"{address}/columns", data={"fresh": "1"}).text
    assert "The column key is missing" in fresh
    assert "for the last file with this header" not in fresh
    assert (
        "The column key is missing"
        in marketer.get(f"{mapped(marketer, send(marketer, content, kind='items'))}/columns").text
    )
    for path in (services.config.folder / "shapes").iterdir():
        path.write_text("{", encoding="utf-8")  # a disk that was full
    assert "The column key is missing" in marketer.get(f"{mapped(marketer, send(marketer, content))}/columns").text


def test_shapes_are_bounded(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, and none that is huge."""
    monkeypatch.setattr(shapes, "KEPT", 3)
    folder = services.config.folder / "shapes"
    for number in range(5):
        upload = Upload(
            "0" * 32, "contacts", "a.csv", 1, utcnow(), header=[f"h{number}"], mapping={f"h{number}": "key"}
        )
        shapes.Shapes(folder).keep(upload)
        os.utime(max(folder.iterdir(), key=lambda path: path.stat().st_ctime), (number, number))
    assert len(list(folder.iterdir())) == 3
    upload.header, upload.mapping = ["x" * 10**6], {"x" * 10**6: "key"}
    shapes.Shapes(folder).keep(upload)
    assert len(list(folder.iterdir())) == 3


def test_files_of_the_continent(marketer: FlaskClient, services: Services) -> None:
    """Semicolons and decimal commas are seen in the sample, also when a column is found later, and can be refused."""
    content = b"Nr;at;item;quantity;Preis\nO1;2026-02-01;I1;1;1.234,50\nO2;2026-02-01;I1;2;n/a\n"
    address = mapped(marketer, send(marketer, content, kind="orders"))
    comma = '<option value="comma" selected>'
    assert comma not in marketer.get(f"{address}/columns").text
    page = marketer.post(
        f"{address}/columns", data={"column-0": "order", "column-4": "unit_price", "decimal": "point"}
    ).text
    assert comma in page
    assert "1 of the first 2 cannot be read" in page
    page = marketer.post(f"{address}/columns", data={"decimal": "point"}).text
    assert comma not in page
    assert "2 of the first 2 cannot be read" in page
    marketer.post(f"{address}/columns", data={"decimal": "comma"})
    step(marketer, address, "check")
    step(marketer, address, "import")
    with services.database.read() as session:
        assert session.scalars(select(Order.total)).all() == [12_345_000]


def test_repeated_lines_are_told(marketer: FlaskClient, services: Services) -> None:
    """Counted by the check, kept unless somebody chooses otherwise; the import's page says how many were left out."""
    line = b"O1,2026-02-01,I1,1,2\n"
    address = mapped(marketer, send(marketer, b"order,at,item,quantity,unit_price\n" + line * 3, kind="orders"))
    page = step(marketer, address, "check")
    assert "2 lines repeat another line of their order in every column." in page
    assert "All of them come in" in page
    marketer.post(f"{address}/columns", data={"repeats": "drop"})
    assert "Only the first of each comes in." in step(marketer, address, "check")
    assert "2 left out" in step(marketer, address, "import")
    with services.database.read() as session:
        assert session.scalars(select(Order.units)).all() == [1]


def test_a_month_later(marketer: FlaskClient, services: Services, uploads: Uploads) -> None:
    """A tick deletes what is old, whether or not anybody opens a page; the pages say why it is gone."""
    address = mapped(marketer, send(marketer, PEOPLE))
    step(marketer, address, "check", mapped="1", **{"column-2": "email"})
    step(marketer, address, "import", on_error="keep")
    assert "/imports/1/rejects" in marketer.get("/imports").text
    waiting = mapped(marketer, send(marketer, PEOPLE)).rpartition("/")[2]
    scheduler.tick(services.database, services.warehouse, services.config, now=utcnow() + timedelta(hours=23))
    assert uploads.path(waiting).exists()
    scheduler.tick(services.database, services.warehouse, services.config, now=utcnow() + timedelta(days=29))
    assert left(services) == []
    assert len(list((services.config.folder / "rejects").iterdir())) == 1
    scheduler.tick(services.database, services.warehouse, services.config, now=utcnow() + timedelta(days=31))
    assert list((services.config.folder / "rejects").iterdir()) == []
    assert "/imports/1/rejects" not in marketer.get("/imports").text
    assert "it is kept for 30 days" in marketer.get("/imports/1").text


def test_erasing_says_what_stays(admin: FlaskClient, services: Services) -> None:
    """Files of refused records are not searched, and the dialog does not hide it."""
    address = mapped(admin, send(admin, b"key\nC1\n"))
    step(admin, address, "check")
    step(admin, address, "import")
    with services.database.read() as session:
        contact_id = session.scalar(select(Contact.id))
    assert "they are deleted 30 days after their import" in admin.get(f"/contacts/{contact_id}").text


def test_a_file_can_be_imported_from_anywhere(marketer: FlaskClient) -> None:
    """Ctrl-K, and the pages that are empty without one."""
    palette = marketer.get("/settings/profile").text.partition('id="palette"')[2]
    assert 'href="/imports/new">' in palette
    assert "Import a file" in palette
    for page in ("/", "/contacts", "/recommendations"):
        assert "/imports/new" in marketer.get(page).text.partition("<main")[2].partition("</main>")[0], page


def test_a_day_later(services: Services, marketer: FlaskClient, uploads: Uploads) -> None:
    """Uploads that nobody touched for a day are deleted, unless somebody works on them."""
    old, busy = (mapped(marketer, send(marketer, PEOPLE)).rpartition("/")[2] for _ in range(2))
    for path in (services.config.folder / "uploads").iterdir():
        os.utime(path, (time.time() - 90_000,) * 2)
    with uploads.lock(busy):
        marketer.get("/imports")
        assert left(services) == [busy, f"{busy}.json"]
    assert marketer.get(f"/imports/uploads/{old}").status_code == 404


def test_empty_index_teaches(marketer: FlaskClient) -> None:
    """Before the first import: what it is, one button, an example of each kind."""
    page = marketer.get("/imports").text
    assert "Nothing imported yet" in page
    assert all(f"/imports/examples/{name}.csv" in page for name in KINDS)


def test_pages_of_imports(marketer: FlaskClient, services: Services, now: datetime) -> None:
    """Fifty at a time, newest first."""
    with services.database.begin() as session:
        session.add_all(
            Import(kind="items", file_name=f"file{number:02}.csv", started_at=now, finished_at=now)
            for number in range(60)
        )
    page = marketer.get("/imports").text
    assert "file59" in page
    assert "file09" not in page
    assert "file09" in marketer.get("/imports?before=11").text


def test_where_people_come_from(marketer: FlaskClient, services: Services) -> None:
    """The chosen origin is that of who is new, unless the file says another; it makes a file no living word."""
    for number, (origin, kept) in enumerate(
        (("bought list", "bought list"), ("mars", "import"), ("partner", "partner"))
    ):
        content = f"customer_id,email_consent,origin\nN{number},true,\nF{number},,fair\n".encode()
        address = mapped(marketer, send(marketer, content, origin=origin))
        step(marketer, address, "check")
        step(marketer, address, "import")
        with services.database.read() as session:
            found = {row.key: row.origin for row in session.execute(select(Contact.key, Contact.origin))}
        assert (found[f"N{number}"], found[f"F{number}"]) == (kept, "fair")
    with services.database.begin() as session:
        one = session.scalars(select(Contact).where(Contact.key == "N2")).one()
        consent.record(session, one.id, "email", False, origin="manual", now=utcnow())
    again = mapped(marketer, send(marketer, b"customer_id,email_consent\nN2,true\n", origin="partner"))
    step(marketer, again, "check")
    step(marketer, again, "import")
    with services.database.read() as session:
        assert session.scalars(select(Contact.email_consent).where(Contact.key == "N2")).one() is False
    assert '<option value="bought list" selected>' in marketer.get("/imports/new?origin=bought+list").text


def test_the_contacts_of_a_file_go_on_a_list(services: Services, marketer: FlaskClient) -> None:
    """New ones and known ones, whatever its criteria say; the check puts nobody on it."""
    with services.database.begin() as session:
        list_id = lists.save(
            session, None, "Fair", {"all": [{"field": "age", "operator": "at_least", "value": 200}]}, now=utcnow()
        ).id
    assert f'value="{list_id}" selected' in marketer.get(f"/imports/new?list={list_id}").text
    file = b"key,email\nc1,one@mail.example\nc2,two@mail.example\nc3,no address\n"
    address = mapped(marketer, send(marketer, file, list=str(list_id)))
    step(marketer, address, "check")
    with services.database.read() as session:
        assert lists.picks(session, list_id) == []
    step(marketer, address, "import", on_error="keep")
    with services.database.read() as session:
        picks = lists.picks(session, list_id)
        assert [(one.key, pick.added, pick.author) for pick, one in picks] == [
            ("c1", True, "import people.csv"),
            ("c2", True, "import people.csv"),
        ]
        assert lists.get(session, list_id).size == 2
    assert send(marketer, file, list="77").status_code == 404


def test_a_file_without_customer_numbers(services: Services, marketer: FlaskClient) -> None:
    """The page finds out that people are known by their address, and the check tells what the chosen rule would do."""
    content = b"email,city\nann@shop.example,Dover\nbob@shop.example,Kent\ntwo@shop.example,Kent\n"
    for before, wins, words in (
        (b"key,email,city\nC1,ann@shop.example,Rye\nC2,two@shop.example,\nC3,two@shop.example,\n", "file", ""),
        (content, "file", "Dover"),
        (content, "fill", "2 people here have this e-mail address"),
    ):
        address = mapped(marketer, send(marketer, before))
        page = marketer.post(f"{address}/columns", data={"wins": wins}).text
        assert f'<option value="{wins}" selected>' in page
        assert f'<option value="{"email" if before is content else "key"}" selected>' in page
        checked = step(marketer, address, "check")
        assert words in checked
        assert ("Rye" in checked) == (words == "Dover")
        if words != "Dover":
            step(marketer, address, "import", on_error="keep")
    with services.database.read() as session:
        cities = session.execute(select(Contact.key, Contact.city).order_by(Contact.key)).all()
    assert [tuple(one) for one in cities] == [
        ("C1", "Rye"),
        ("C2", None),
        ("C3", None),
        ("email:bob@shop.example", "Kent"),
    ]
    address = mapped(marketer, send(marketer, content))  # next time nothing has to be chosen
    assert '<option value="fill" selected>' in marketer.get(f"{address}/columns").text
    page = marketer.post(f"{address}/columns", data={"find": "phone", "wins": "nonsense"}).text
    assert "The column phone is missing" in page
