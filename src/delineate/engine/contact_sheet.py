"""A contact sheet: every image of a dataset as a thumbnail with its objects drawn, on pages to look through.

Truth is decoded once to count and choose, and once more, with the image, for each thumbnail, so that memory
does not grow with the dataset. Pages are written as thumbnails come and take their names together at the end.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from delineate.core.errors import DelineateError, InputError
from delineate.data.find import natural_key
from delineate.data.records import Dataset
from delineate.data.write import atomic

from .contact_sheet_page import Card, Head, figure, page_end, page_top, thumbnail

Sort = Literal["given", "name", "objects", "fewest"]
SORTS: tuple[Sort, ...] = ("given", "name", "objects", "fewest")
WORKERS = 2
AHEAD = 8  # thumbnails made before they are asked for


@dataclass(frozen=True)
class Entry:
    """What is known of an image before it is drawn.

    Attributes:
        index: its place in the dataset.
        counts: objects by class index.
        fault: why its truth cannot be read; empty where it can.
    """

    index: int
    counts: Counter[int]
    fault: str = ""


@dataclass(frozen=True)
class Sheet:
    """What was written.

    Attributes:
        pages: the HTML files, the first one is the one to open.
        images: how many images they show.
        objects: how many objects these have, of the classes asked for.
        failed: name and reason of each image that could not be drawn; it stands on the page with the reason.
    """

    pages: tuple[Path, ...]
    images: int
    objects: int
    failed: tuple[tuple[str, str], ...] = ()


def contact_sheet(
    data: Dataset,
    out: str | Path,
    *,
    classes: Sequence[str] = (),
    empty: bool = False,
    sort: Sort = "given",
    side: int = 320,
    per_page: int = 120,
    tick: Callable[[], object] | None = None,
) -> Sheet:
    """Writes a dataset's images with their objects as self-contained HTML pages.

    Args:
        data: the dataset; choose a split before.
        out: the first page, such as ``view.html``; further ones are ``view-2.html`` and so on.
        classes: show only images with an object of one of these classes, and only such objects.
        empty: show only images without any object.
        sort: the dataset's own order, by name, by number of objects falling, or rising.
        side: longest side of a thumbnail in pixels, 32..2048.
        per_page: images on a page, 1..2000.
        tick: called twice for each image: once counted, once drawn or left out.

    Raises:
        InputError: a setting out of range, an unknown class, nothing to show, or a place that cannot be
            written.
    """
    out = Path(out)
    _check(data, out, classes, sort, side, per_page)
    step = tick or (lambda: None)
    wanted = frozenset(i for i, name in enumerate(data.classes.names) if name in classes)
    entries = [_entry(data, index, step) for index in range(len(data))]
    chosen = _chosen(entries, data, wanted, empty, sort)
    for _ in range(len(entries) - len(chosen)):
        step()
    if not chosen:
        what = "images" + (" without objects" if empty else f" with {', '.join(classes)}" if classes else "")
        raise InputError(f"{data.source}: expected {what}, got none; ask for other classes or another split")
    numbers = -(-len(chosen) // per_page)
    pages = [out if n == 1 else out.with_name(f"{out.stem}-{n}{out.suffix}") for n in range(1, numbers + 1)]
    failed: list[tuple[str, str]] = []
    with ExitStack() as files, closing(_drawn(data, chosen, wanted, side, out.parent)) as drawn:
        for number, page in enumerate(pages, 1):
            temporary = files.enter_context(atomic(page))
            head = Head.of(data, chosen, wanted, [p.name for p in pages], number)
            with temporary.open("w", encoding="utf-8") as file:
                file.write(page_top(head))
                for card in islice(drawn, per_page):
                    file.write(figure(card))
                    failed += [(card.name, card.fault)] if card.fault else []
                    step()
                file.write(page_end(head))
    objects = sum(_shown(entry.counts, wanted) for entry in chosen)
    return Sheet(tuple(pages), len(chosen), objects, tuple(failed))


def _check(data: Dataset, out: Path, classes: Sequence[str], sort: str, side: int, per_page: int) -> None:
    unknown = [name for name in classes if name not in data.classes.names]
    if unknown:
        known = ", ".join(data.classes.names[:12]) + (", …" if len(data.classes) > 12 else "")
        raise InputError(f"class {unknown[0]!r}: expected one of {known}; correct the name")
    if sort not in SORTS:
        raise InputError(f"sort: expected one of {', '.join(SORTS)}, got {sort!r}; choose one")
    if not 32 <= side <= 2048 or not 1 <= per_page <= 2000:
        raise InputError(
            f"contact sheet: expected thumbnails of 32..2048 pixels and 1..2000 on a page, got {side} and "
            f"{per_page}; correct the number"
        )
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: expected a page ending in .html, got {out.suffix!r}; name it view.html")


def _entry(data: Dataset, index: int, step: Callable[[], object]) -> Entry:
    try:
        return Entry(index, Counter(data.truth(index).labels.tolist()))
    except DelineateError as error:
        return Entry(index, Counter(), str(error))
    finally:
        step()


def _shown(counts: Counter[int], wanted: frozenset[int]) -> int:
    """How many objects of the wanted classes there are; of all where none is named."""
    return sum(n for label, n in counts.items() if not wanted or label in wanted)


def _chosen(
    entries: Sequence[Entry], data: Dataset, wanted: frozenset[int], empty: bool, sort: Sort
) -> list[Entry]:
    """The images to show, in order; images whose truth cannot be read show unless a class is asked for."""
    if empty:
        kept = [e for e in entries if not e.counts and not e.fault]
    else:
        kept = [e for e in entries if not wanted or _shown(e.counts, wanted)]
    if sort == "name":
        kept.sort(key=lambda e: natural_key(data.records[e.index].name))
    elif sort != "given":
        sign = -1 if sort == "objects" else 1
        kept.sort(key=lambda e: sign * _shown(e.counts, wanted))
    return kept


def _drawn(
    data: Dataset, chosen: Sequence[Entry], wanted: frozenset[int], side: int, folder: Path
) -> Generator[Card, None, None]:
    """The cards in order; a few are made ahead by threads, as decoding pictures leaves Python's lock."""
    waiting: deque[Future[Card]] = deque()
    pool = ThreadPoolExecutor(WORKERS)
    try:
        for entry in chosen:
            waiting.append(pool.submit(_card, data, entry, wanted, side, folder))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _card(data: Dataset, entry: Entry, wanted: frozenset[int], side: int, folder: Path) -> Card:
    """One image; where it cannot be read the card says why."""
    record = data.records[entry.index]
    groups = {name: value for name, value in record.groups.items() if value}
    link = _link(record.path, folder)
    if entry.fault:
        return Card(record.name, link, groups, fault=entry.fault)
    try:
        sample = data[entry.index]
    except DelineateError as error:
        return Card(record.name, link, groups, fault=str(error).removeprefix(f"{record.path}: "))
    truth = sample.truth
    if wanted:
        truth = truth[[i for i, label in enumerate(truth.labels.tolist()) if label in wanted]]
    return thumbnail(Card(record.name, link, groups), sample.image, truth, side)


def _link(path: Path, folder: Path) -> str | None:
    """The image as a link relative to the page; None where there is no file."""
    if not path.is_file():
        return None
    try:
        return quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()


__all__ = ["SORTS", "Sheet", "Sort", "contact_sheet"]
