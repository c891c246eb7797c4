"""The page of models is the zoo: every name, its weights and its licence."""

from __future__ import annotations

import re
from pathlib import Path

from delineate.models.zoo import ZOO, Entry

SHIPPED = {  # without what other tests of the same process add
    name: entry for name, entry in ZOO.items() if not entry.builder.startswith("tiny_training:")
}
PAGE = Path(__file__).parents[2] / "docs/models/index.md"
WHERE = {"embedded": "in the package, {:.1f} MB", "download": "download, {:.1f} MB", "none": "to be trained"}


def row(entry: Entry) -> tuple[str, str, str]:
    """As the table has it: what, weights, licence."""
    return entry.summary, WHERE[entry.source].format(entry.megabytes), entry.licence


def test_the_table_is_the_zoo() -> None:
    lines = re.findall(r"^\| \[`(\w+)`\]\(\S+\) \| (.+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {name: tuple(rest) for name, *rest in lines} == {
        name: row(entry) for name, entry in SHIPPED.items()
    }
    assert [name for name, *_ in lines] == list(SHIPPED)


def test_the_advice_names_models_of_the_zoo() -> None:
    advice = PAGE.read_text().split("## Which one?")[1].split("## Weights of others")[0]
    named = set(re.findall(r"`(\w+)`", advice))
    assert len(named) > 5 and named <= set(ZOO)
