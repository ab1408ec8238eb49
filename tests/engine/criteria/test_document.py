"""The page about criteria says what the tables say."""

from __future__ import annotations

import json
import re
from pathlib import Path

from engine import criteria
from engine.criteria.document import markdown
from tests.engine.criteria.world import MemoryCatalogue, World

PAGE = Path(__file__).parents[3] / "docs" / "criteria.md"


def test_the_page_is_up_to_date() -> None:
    """`python -m web.criteria > docs/criteria.md` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == markdown()


def test_the_example_of_the_page_reads_as_it_says() -> None:
    """JSON and sentence."""
    examples = re.findall(r"```json\n(.*?)```\n\n\*(.*?)\*", markdown(), re.DOTALL)
    assert len(examples) == 3
    for written, words in examples:
        read = criteria.parse(json.loads(written), MemoryCatalogue(World(), None))
        assert criteria.sentence(read) == words
