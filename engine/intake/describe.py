"""docs/intake.md, written from the table of columns: `python -m engine.intake.describe`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.intake.journal import LIFE
from engine.intake.kinds import KINDS, Column, Kind
from engine.intake.leftovers import REJECTS_LIFE
from engine.intake.values import ATTRIBUTE, NAME_WORDS

HEAD = """# What comes in

`rapport import KIND FILE` and `POST /api/v1/KIND` take the same columns. This page is written from the table in
`engine/intake/kinds.py` by `python -m engine.intake.describe`; a test compares them.

- A file is CSV (comma, semicolon, tab or |; plain or gzip; UTF-8, UTF-16 with a byte order mark, GB18030, or an
  encoding you name) or Parquet. Headers are found by name or alias, also those of
  Mailchimp, Shopify, HubSpot and WooCommerce and of German, French and Chinese files; case, blanks, `-` and `_` do not
  matter.
- Everything is idempotent by key: the same record twice changes nothing. The last of several records with one key
  counts, field by field.
- To take a value back: over the API `null` clears a field of a contact or item, while a field that is absent, or empty
  text, keeps what is known; `attributes: {"size": null}` takes one own field away. In a file an empty cell keeps what
  is known, unless you say `--empty clear` (on the page: "An empty cell: clears what is known"); a column that the file
  does not have is never touched. What is never cleared this way is named with its kind below.
- A record that cannot be read is refused with line, field and reason; good records are kept unless you ask for the
  whole file to be refused. The rejects file in the workspace holds the refused lines with their original cells; what a
  spreadsheet would run as a formula has an apostrophe before it, as in every export. Mended, it is imported like the
  file it came of: in a CSV whose header begins with `line,field,message` these three columns are left out and those
  apostrophes taken away again.
- For {life} days an import can be undone as a whole: on its page, by `rapport undo NUMBER` (`--dry-run` says what
  would happen) and by `POST /api/v1/imports/{id}/undo`. What it created goes, unless it was changed since or
  something else is about it (an order, a message, a place on a list ...): that is kept, and counted with the
  reason. What it changed gets its former values, field by field, unless they were changed again; orders it replaced
  come back with their lines. A yes to messages that it brought is as if never said; a no of somebody who was here
  before stays. An import or an undo that was killed can be undone, or goes on, like any other. A removal from a list
  by hand outlives an import into it; places on lists that it gave go. Of two undos at once the later goes on; the page
  offers to go on when nobody took a step for a minute.
  What that needs is
  kept for {life} days, compressed, in the database; the worker then deletes it, and erasing a person takes theirs out
  of it at once.
- A yes to messages is left aside, without a word, where the last word is a no and the address is suppressed for any
  reason: a nightly call that repeats an old yes must not undo an opt-out. A customer file's (origin `import`) is left
  aside after every no. What somebody says anew is written down, with its evidence, on the contact's page.
- An order is its lines: it is taken or refused as a whole, and replaced as a whole when its content changes.
- Lines of an order that are equal in every column that is read may be one thing scanned twice or a typing error: only
  the shop knows. They are kept, or all but the first left out with `--repeats drop`; a dry run counts them. Say the
  same every time: with the other choice the order is another one and is replaced.
- Contacts are found by customer number. A file may say who it means by e-mail address, telephone or loyalty card
  instead (`--find email|phone|card`; on the page: "A row is the person here with the same"), and then needs no customer
  numbers: whoever is not here comes in as a contact known by that name alone (docs/identity.md), or under the number
  the row has. What the file is found by is not written to whom it found. A row that may mean several people here, or
  whose number and name are two people's, is refused with the reason.
- For contacts who are here the file wins (`--wins file`), what is here (`here`), or empty fields are filled
  (`fill`), field by field; with these two an empty cell clears nothing. New contacts come in whole, and a no to
  messages always counts.
- `--list 7` (on the page: "Put the contacts on a list"; over the API: `POST /api/v1/contacts?list=7`) puts the contacts
  on a list by hand, whatever its criteria say (docs/lists.md).
- Amounts are decimals with a point and at most four places; a file with `--decimal comma` writes 1.234,56. A time
  without a zone is the shop's.
- In a file `attributes.size` is the shop's own field `size`; over the API `attributes` and `properties` are objects.
  A text cell that plainly is a number, `true` or `false` is kept as one.
- A name of an own field or a type of event is {names}: `loyalty.tier`,
  `quiz:done`, `尺码`. Anything else is refused.
- An event's key must not begin with `rapport:`: so begin the keys of what Rapport itself notes (an open, an opt-out),
  and of events that come without one.
- A file holds people's data in the clear. Its refused records are kept for {rejects} days for mending; an upload that
  was not imported, for a day; both are then deleted by the worker (`rapport work`, `rapport tick`). Erasing a person
  does not search these files. What an import that was killed left behind goes at the next tick or import.
- Limits: lines of `intake.max_line_kb`, files that unpack to `intake.max_upload_mb`, calls of
  `intake.max_request_rows` records, 200 own fields, 10,000 lines of an order.
"""


def markdown() -> str:
    """The whole page."""
    head = HEAD.replace("{rejects}", str(REJECTS_LIFE.days)).replace("{names}", NAME_WORDS)
    head = head.replace("{life}", str(LIFE.days))
    return "\n".join([head, *(line for kind in KINDS.values() for line in _section(kind))])


def _section(kind: Kind) -> Iterator[str]:
    yield f"## {kind.name}\n"
    if kind.one_of:
        yield f"At least one of {' and '.join(f'`{name}`' for name in kind.one_of)} is needed.\n"
    if kind.merges:
        lasting = [f"`{column.name}`" for column in kind.columns if not kind.clears(column)]
        yield f"Never cleared: {', '.join(lasting)}.\n"
    yield "| column | type | what | example | also read |"
    yield "|---|---|---|---|---|"
    for column in kind.columns:
        yield _row(column)
    if kind.open:
        yield f"| `{kind.open}.<name>` | {ATTRIBUTE.word} | The shop's own field. | 42 | |"
    yield ""


def _row(column: Column) -> str:
    notes = column.doc + (" Over the API in `lines`." if column.in_line else "")
    name = f"`{column.name}`" + (" (required)" if column.required else "")
    cells = (name, column.type.word, notes, column.example, ", ".join(column.aliases))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    Path("docs/intake.md").write_text(markdown(), encoding="utf-8")
