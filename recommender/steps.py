"""How far a training is, and how long each of its stages took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from recommender.algebra import give_back

Progress = Callable[[str, int, int], None]  # what is done now, steps done, steps in all


@dataclass
class Steps:
    """Tells the caller and, once `note` is set, the training's row how far it is, and how long each stage took."""

    progress: Progress | None
    steps: int
    done: int = 0
    note: Callable[[str, float], None] | None = None
    begun: list[tuple[str, float]] = field(default_factory=list)

    def __call__(self, what: str) -> None:
        """Another stage begins."""
        give_back()
        self.begun.append((what, time.monotonic()))
        if self.note:
            self.note(what, self.done / self.steps)
        if self.progress:
            self.progress(what, self.done, self.steps)
        self.done += 1

    def seconds(self) -> dict[str, float]:
        """Of each stage until now."""
        ends = [begun for _, begun in self.begun[1:]] + [time.monotonic()]
        return {what: round(end - begun, 2) for (what, begun), end in zip(self.begun, ends, strict=True)}
