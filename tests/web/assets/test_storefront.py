"""What docs/storefront.md says of the snippet's rows is what its sources do, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs/storefront.md").read_text(encoding="utf-8")
SOURCE = ROOT / "web/assets/src"
SCRIPTS = "".join(path.read_text(encoding="utf-8") for path in [SOURCE / "t.js", *(SOURCE / "storefront").glob("*.js")])
STYLE = (SOURCE / "t.css").read_text(encoding="utf-8")


def tables(first: str) -> set[str]:
    """The words in code of the first column, of the table whose head begins with `first`."""
    rows = DOCS.partition(f"| {first} |")[2].partition("\n\n")[0]
    return {
        word for cell in re.findall(r"^\| ([^|]+) \|", rows, re.MULTILINE) for word in re.findall("`([^`]+)`", cell)
    }


def test_attributes() -> None:
    """Each that is read is told."""
    read = set(re.findall(r"\b(rapport[A-Z]\w*)", SCRIPTS)) - {"rapportState", "rapportItem"}  # written, not read
    dashed = {"data-" + re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", name) for name in read}
    assert tables("attribute") == dashed


def test_properties_of_the_style() -> None:
    """Each that an ancestor may set is told; those that the style sets itself are nobody's business."""
    own = set(re.findall(r"^\s*(--rapport-[\w-]+):", STYLE, re.MULTILINE))
    assert tables("property") == set(re.findall(r"var\((--rapport-[\w-]+)", STYLE)) - own


def test_rules_are_weak() -> None:
    """One class or attribute each, but for two of a place that is hidden or has no heading; none with !important."""
    rules = re.sub(r"/\*.*?\*/", "", STYLE, flags=re.DOTALL)
    selectors = [one.strip() for head in re.findall(r"([^{}]+)\{", rules) for one in head.split(",")]
    strength = {one: len(re.findall(r"\.[\w-]+|\[[^]]+\]|:(?!not)[\w-]+", one)) for one in selectors}
    assert max(strength.values()) == 2
    assert [one for one in selectors if strength[one] > 1 and ":" not in one] == ["[data-rapport-placement][hidden]"]
    assert "!important" not in STYLE


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", ".style"]
)
def test_nothing_makes_markup_of_words(word: str) -> None:
    """Nor needs more of a content policy than Rapport's address."""
    assert word not in SCRIPTS
