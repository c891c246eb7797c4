"""How the tables of an evaluation report look on a terminal, and those of any metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from delineate.metrics.metric import ScoreTable, per_class_of, tables_of

from .metric_registry import title_of

if TYPE_CHECKING:
    from .scores import Scores

CLASSES_SHOWN = 20
WIDEST = 12  # with more scores than this there is a line for each


def tables_of_any(part: str, sets: Sequence[tuple[str, Scores]]) -> Iterator[Table]:
    """The scores, the classes and the own tables of any metric."""
    title = title_of(part)
    title = title[:1].upper() + title[1:]
    names = list(sets[0][1][part].scores)
    own_tables = tables_of(sets[0][1][part])
    if len(names) <= WIDEST:
        table = new_table(title, "", *names)
        for name, scores in sets:
            if part in scores:
                table.add_row(escape(name), *map(value, scores[part].scores.values()))
    else:
        shown = [(name, scores[part].scores) for name, scores in sets if part in scores]
        table = new_table(title, "", *(escape(name) for name, _ in shown))
        for name in names:
            table.add_row(escape(name), *(value(numbers[name]) for _, numbers in shown))
    if len(names) <= WIDEST or len(sets) > 1 or not own_tables:  # else its own tables tell them
        yield table
    classes = per_class_of(sets[0][1][part])
    if len(classes) > 1:
        columns = list(next(iter(classes.values())))
        table = new_table(f"{title}, by class", "class", *columns)
        for name, row in list(classes.items())[:CLASSES_SHOWN]:
            table.add_row(escape(name), *(value(row[column]) for column in columns))
        yield with_rest(table, len(classes))
    for own in own_tables:
        yield own_table(own)


def own_table(own: ScoreTable) -> Table:
    """A table that a metric brings."""
    table = new_table(escape(own.title), *map(escape, own.columns))
    for cells in own.rows[:CLASSES_SHOWN]:
        table.add_row(*(escape(c) if isinstance(c, str) else value(c) for c in cells))
    more = f"{len(own.rows) - CLASSES_SHOWN} more rows in the saved report"
    told = [escape(own.caption)] * bool(own.caption) + [more] * (len(own.rows) > CLASSES_SHOWN)
    table.caption, table.caption_justify = "\n".join(told) or None, "left"
    return table


def with_rest(table: Table, count: int) -> Table:
    """The table, with how many classes are left out."""
    if count > CLASSES_SHOWN:
        table.caption = f"{count - CLASSES_SHOWN} more classes in the saved report"
    return table


def new_table(title: str, first: str, *columns: str) -> Table:
    """An empty table, names to the left and numbers to the right."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def value(value: float | None) -> str:
    """A ratio with three digits, a whole number as it is."""
    if value is None or value != value:
        return "-"
    return str(value) if isinstance(value, int) else number(value)


def percent(value: float) -> str:
    """A share in percent, a dash where it is undefined."""
    return "-" if value != value else f"{100 * value:.1f} %"


def number(value: float) -> str:
    """Three digits, a dash for what is undefined."""
    return "-" if value != value else f"{value:.3f}"
