"""One error tree. Every message says what is wrong and what to do about it.

RapportError
├── ConfigError        the settings cannot be used; the program refuses to start
├── Invalid            what was given cannot be understood (HTTP 422); `field` is the path to the fault
│   ├── Faults         several faults of one thing given
│   └── Unreadable     a file that cannot be read as what it should be
├── NotFound           no such thing (404)
├── Conflict           somebody or something else was faster; nothing was written (409)
├── NotAuthenticated   nobody is logged in, or the key is unknown (401)
├── NotAllowed         known, but may not (403)
├── TooLarge           more than one call may carry (413)
├── TooMany            asked too often; wait and try again (429)
└── Unavailable        a part is not ready yet; the message says what brings it up (503)
    └── Busy           too much is asked at once; again after `seconds`
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Final


class RapportError(Exception):
    """Base of every error that a user may see; `code` is the stable word for machines."""

    code = "error"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class ConfigError(RapportError):
    """The settings cannot be used."""

    code = "config"


class Invalid(RapportError):
    """What was given cannot be understood; `field` is the path to the fault."""

    code = "invalid"


class Faults(Invalid):
    """Several faults of one thing given; told as the first of them. found: all, at least one."""

    def __init__(self, found: Sequence[Invalid]) -> None:
        super().__init__(found[0].message, field=found[0].field)
        self.found = tuple(found)


class Noted:
    """Goes on after a fault, so that all are told at once:

    noted = Noted()
    with noted:
        check(one)
    with noted:
        check(other)
    noted.tell()
    """

    def __init__(self) -> None:
        self.found: list[Invalid] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Invalid):
            self.found += every(error)
        return isinstance(error, Invalid)

    def tell(self) -> None:
        """Raise Faults if there are any."""
        if self.found:
            raise Faults(self.found)


def every(error: Invalid) -> tuple[Invalid, ...]:
    """What an error tells of."""
    return error.found if isinstance(error, Faults) else (error,)


class Unreadable(Invalid):
    """A file that cannot be read as what it should be."""

    code = "unreadable"


class NotFound(RapportError):
    """No such thing."""

    code = "not_found"


class Conflict(RapportError):
    """Somebody else was faster, or the state does not allow it; nothing was written."""

    code = "conflict"


class NotAuthenticated(RapportError):
    """Nobody is logged in, or the key is unknown."""

    code = "not_authenticated"


class NotAllowed(RapportError):
    """Known, but may not."""

    code = "not_allowed"


class TooLarge(RapportError):
    """More than one call may carry."""

    code = "too_large"


class TooMany(RapportError):
    """Asked too often; worth another try after `seconds`."""

    code = "too_many"

    def __init__(self, message: str, *, field: str | None = None, seconds: int = 60) -> None:
        super().__init__(message, field=field)
        self.seconds = seconds


class Unavailable(RapportError):
    """A part is not ready yet; the message says what brings it up."""

    code = "unavailable"


class Busy(Unavailable):
    """Too much is asked at once; worth another try after `seconds`."""

    code = "busy"

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


LISTED: Final = 12  # known words that a message may list
NEAREST: Final = 3


def meant(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant: " Did you mean 'x'?", if any."""
    close = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """The same; where none was, the whole list, or of a long one the nearest words."""
    options = sorted(known)
    if close := meant(word, options):
        return close
    if len(options) > LISTED and not word:
        return ""
    if len(options) > LISTED:
        options = difflib.get_close_matches(word, options, n=NEAREST, cutoff=0)  # also where nothing is alike
        return f" The nearest: {', '.join(options)}."
    return f" Known: {', '.join(options)}." if options else ""
