"""Charts are told once: drawing, sentence and table say the same."""

from __future__ import annotations

import json
import re

from apiflask import APIFlask

from web.charts import Chart, Series, hbar, sparkline

CHART = Chart(
    "Revenue", "Day", ["1 Mar", "2 Mar"], [Series("This </script>", [1.5, None])], unit="money", currency="GBP"
)


def test_table_and_drawing_agree(app: APIFlask) -> None:
    """A gap is a dash in words and null for the drawing."""
    with app.test_request_context():
        assert CHART.rows == [("1 Mar", ["£1.50"]), ("2 Mar", ["–"])]
        assert CHART.sentence == "Revenue: 1 Mar to 2 Mar; at the end This </script> –"
    assert json.loads(CHART.json)["series"][0]["values"] == [1.5, None]


def test_hostile_names_stay_text(app: APIFlask) -> None:
    """A name with markup cannot leave the attribute that carries it."""
    with app.test_request_context():
        template = "{% import 'macros.html' as ui with context %}{{ ui.chart(chart, 'c') }}"
        html = app.jinja_env.from_string(template).render(chart=CHART)
    assert "</script>" not in html


def test_empty_chart_says_so() -> None:
    """Zeros and gaps alone are nothing to draw."""
    assert Chart("x", "y", ["a"], [Series("s", [0]), Series("t", [None])]).is_empty
    assert not CHART.is_empty


def test_sparkline_fills_its_box() -> None:
    """Lowest value at the foot, highest at the top, first left, last right; a flat line is no fault."""
    numbers = [
        float(one) for one in re.findall(r"[\d.]+", re.findall(r'points="([^"]+)"/></svg>', sparkline([5, 1, 9]))[0])
    ]
    assert numbers == [0, 16, 42, 30, 84, 2]
    assert "nan" not in sparkline([3, 3])
    assert sparkline([1]) == ""


def test_bar_stays_in_its_box() -> None:
    """Shares beyond [0, 1] are cut."""
    assert 'width="100.0"' in hbar(1.7)
    assert 'width="0.0"' in hbar(-1)
