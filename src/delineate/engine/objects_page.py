"""One page of a table and its picture: a click on a row shows the object, a click on an object its row.

The file needs nothing else: picture, outlines, rows, style and script are in it, and it may fetch nothing.
Any command that has a table with a row for each object can write one::

    from delineate.engine.objects_page import PageEntry, write_index, write_page

    entry = write_page(out / "pages" / "leaf 7.html", image, leaves, table, title="leaf 7.jpg")
    table["link"] = row_links(table, "pages/leaf 7.html")      # pages/leaf%207.html#12, for each row
    write_index(out / "pages" / "index.html", [entry, ...])    # where there are several images

``table`` has the rows in the order of the objects; its ``label`` is the number that is written on each (1..N
where it has none), ``attrs["units"]`` and ``attrs["sources"]`` stand in the columns' headings.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from delineate import __version__
from delineate.apply.draw import colors, display
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .atomic import write_atomically
from .markup import Markup, joined, picture, tag
from .outline_paths import hex_color, inner_spot, outline_paths

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 2400
"""Longest side of the picture in the page, in pixels; outlines stay as sharp as they are."""
SMOOTH = 0.6
"""Pixels of the picture by which an outline may be off."""
LEFT_OUT = ("image", "overlay", "label_image", "link")
"""Columns that say the same in every row of an image."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
THUMBNAIL = 260


@dataclass(frozen=True)
class PageEntry:
    """A page that was written, for the index.

    Attributes:
        path: the file.
        title: what it shows.
        objects: how many.
        thumbnail: a small picture, JPEG.
    """

    path: Path
    title: str
    objects: int
    thumbnail: bytes = field(repr=False, default=b"")


def write_page(
    path: Path,
    image: ArrayLike | None,
    objects: Instances,
    table: pd.DataFrame,
    *,
    title: str = "",
    told: Sequence[str] = (),
) -> PageEntry:
    """Writes the page of one image.

    Args:
        path: the file, ending in .html; replaced where it is there.
        image: (H, W) or (H, W, C) numbers; None draws on black. One of a whole fraction of the objects' size
            (an overview of a huge image) is stretched under them.
        objects: N objects, with masks or boxes alone.
        table: N rows in the same order. True in a column of truth values is a mark: the number is red.
        title: the image's name; default the file's.
        told: sentences that stand above the picture. All texts are escaped.

    Raises:
        InputError: rows and objects differ in number, or the page cannot be written.

    Example:
        >>> import pandas as pd, tempfile
        >>> cells = Instances((4, 6), boxes=np.array([[1, 1, 3, 3]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     entry = write_page(Path(folder) / "a.html", None, cells, pd.DataFrame({"area": [4]}))
        >>> entry.title, entry.objects
        ('a', 1)
    """
    if len(table) != len(objects):
        raise InputError(
            f"{path.name}: expected a row for each of {len(objects)} objects, got {len(table)}; give the "
            "table of these objects"
        )
    title = title or path.stem
    small = _picture(image, objects.size)
    page = _page(title, told, objects, table, small).encode("utf-8", "backslashreplace")
    _write(path, page)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return PageEntry(path, title, len(objects), _encoded(small))


def thumbnail_of(image: ArrayLike) -> bytes:
    """A small JPEG of an image (H, W) or (H, W, C), for :class:`PageEntry`."""
    made = Image.fromarray(display(image))
    made.thumbnail((THUMBNAIL, THUMBNAIL))
    return _encoded(made)


def row_links(table: pd.DataFrame, page: str) -> list[str]:
    """For each row the address of its object: the page, from where the table lies, and the row's number.

    Args:
        table: as :func:`write_page` has it.
        page: the page's path relative to the table's folder, with ``/``.

    Example:
        >>> import pandas as pd
        >>> row_links(pd.DataFrame({"label": [3, 8]}), "pages/my image.html")
        ['pages/my%20image.html#3', 'pages/my%20image.html#8']
    """
    address = quote(page)
    return [f"{address}#{number}" for number in _numbers(table).tolist()]


def write_index(path: Path, entries: Sequence[PageEntry], title: str = "Objects") -> Path:
    """A page of thumbnails that leads to the pages, which lie in its folder or below.

    Raises:
        InputError: it cannot be written.
    """
    cards = [
        tag(
            "a",
            picture(entry.thumbnail, "jpeg", entry.title, loading="lazy") if entry.thumbnail else "",
            tag("b", entry.title),
            tag("span", f"{entry.objects} object{'s' * (entry.objects != 1)}", class_="soft"),
            href=quote(entry.path.relative_to(path.parent).as_posix()),
        )
        for entry in entries
    ]
    told = f"{len(entries)} images, {sum(entry.objects for entry in entries)} objects"
    body = joined([tag("h1", title), tag("p", told, class_="soft"), tag("main", *cards, class_="cards")])
    _write(path, _document(title, body, "").encode("utf-8", "backslashreplace"))
    return path


def _write(path: Path, page: bytes) -> None:
    try:
        write_atomically(path, lambda file: file.write(page))
    except OSError as error:
        raise InputError(
            f"{path}: expected a place to write, got {error.strerror or error}; choose another"
        ) from None


def _document(title: str, body: Markup, script: str) -> str:
    style = files(__package__).joinpath("objects_page.css").read_text("utf-8")
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title),
            tag("style", Markup(style)),
        ]
    )
    foot = tag("footer", f"delineate {__version__}", class_="soft")
    page = tag("html", tag("head", head), tag("body", body, foot, Markup(script)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _page(
    title: str, told: Sequence[str], objects: Instances, table: pd.DataFrame, small: Image.Image
) -> str:
    rows = json.dumps(_data(table), separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":  # no text can end the script element
        rows = rows.replace(sign, f"\\u{ord(sign):04x}")
    code = files(__package__).joinpath("objects_page.js").read_text("utf-8")
    script = f'<script type="application/json" id="data">{rows}</script><script>{code}</script>'
    count = (
        f"{len(objects)} object{'s' * (len(objects) != 1)} on {objects.size[1]} × {objects.size[0]} pixels"
    )
    tools = tag(
        "div",
        tag("label", "find ", tag("input", type="search", id="find")),
        tag("label", tag("input", type="checkbox", id="marked"), " marked only"),
        tag("label", tag("input", type="checkbox", id="outlines", checked=""), " outlines"),
        tag("label", tag("input", type="checkbox", id="numbers", checked=""), " numbers"),
        tag("button", "whole image", type="button", id="whole"),
        tag("span", id="shown", class_="soft", role="status"),
        class_="tools",
    )
    body = joined(
        [
            tag("header", tag("h1", title), tag("p", "; ".join((count, *told)), class_="soft"), tools),
            tag(
                "main",
                tag("div", _drawing(objects, table, small), id="view"),
                tag("div", tag("table", tag("thead"), tag("tbody"), id="table"), id="rows", tabindex="0"),
                class_="pair",
            ),
            Markup("<noscript>The rows need the browser's script; the picture does not.</noscript>"),
        ],
        "\n",
    )
    return _document(title, body, script)


def _drawing(objects: Instances, table: pd.DataFrame, small: Image.Image) -> Markup:
    """The picture, outlines over it with small ones on top, and the numbers."""
    height, width = objects.size
    image = picture(_encoded(small), "jpeg", "").replace("<img src", "<image href", 1)
    image = image.replace(' alt=""', f' width="{width}" height="{height}" preserveAspectRatio="none"', 1)
    tints = [hex_color(tint) for tint in colors(objects)]
    outlines = outline_paths(objects, SMOOTH * max(1.0, width / small.width))
    marked, numbers = _marked(table), _numbers(table)
    paths, texts = [], []
    for i in np.argsort(-objects.area, kind="stable").tolist():
        if not outlines[i]:
            continue
        paths.append(tag("path", d=outlines[i], stroke=tints[i], fill=tints[i], data_i=i))
        x, y, room = _spot(objects, i)
        number = str(numbers[i])
        size = round(min(room / max(2, len(number)) * 1.5, max(height, width) / 28), 2)
        red = "marked" if marked[i] else None
        texts.append(tag("text", number, x=x, y=y, font_size=size, class_=red))
    return tag(
        "svg",
        Markup(image),
        tag("g", joined(paths), class_="outlines"),
        tag("g", joined(texts), class_="numbers"),
        viewBox=f"0 0 {max(width, 1)} {max(height, 1)}",
        id="picture",
        role="img",
        aria_label=f"{len(objects)} objects, numbered as in the table",
    )


def _spot(objects: Instances, i: int) -> tuple[float, float, float]:
    """Where an object's number stands, and how much room (pixels) there is."""
    if objects.masks is None:
        x1, y1, x2, y2 = objects.boxes[i].tolist()
        return (x1 + x2) / 2, (y1 + y2) / 2, math.sqrt(max((x2 - x1) * (y2 - y1), 1.0))
    crop, (x0, y0) = objects.masks.crop(i)
    x, y = inner_spot(crop)
    return x0 + x + 0.5, y0 + y + 0.5, math.sqrt(float(crop.sum()))


def _picture(image: ArrayLike | None, size: tuple[int, int]) -> Image.Image:
    """The image for the eye, no side longer than :data:`LONGEST`."""
    height, width = size
    if image is None:
        part = min(1.0, LONGEST / max(width, height, 1))
        made = Image.new("RGB", (max(1, round(width * part)), max(1, round(height * part))))
    else:
        made = Image.fromarray(display(image))
    scale = LONGEST / max(made.size)
    if scale < 1:
        side = (max(1, round(made.width * scale)), max(1, round(made.height * scale)))
        made = made.resize(side, Image.Resampling.BOX)
    return made


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, subsampling=0)
    return buffer.getvalue()


def _marked(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) rows with a mark other than that they touch the border, which says nothing against an object."""
    names = [n for n in table.columns if table[n].dtype.kind == "b" and n != "touches_border"]
    return np.asarray(table[names].to_numpy(bool).reshape(len(table), len(names)).any(axis=1), dtype=np.bool_)


def _numbers(table: pd.DataFrame) -> NDArray[np.int64]:
    if "label" in table:
        return table["label"].to_numpy(np.int64)
    return np.arange(1, len(table) + 1)


def _data(table: pd.DataFrame) -> dict[str, Any]:
    """Columns and values as the script wants them; fractions with six digits, None where there is none."""
    units, sources = table.attrs.get("units", {}), table.attrs.get("sources", {})
    shown = [name for name in table.columns if name not in LEFT_OUT]
    heads = []
    for name in shown:
        kind = table[name].dtype.kind
        told = {"name": str(name), "unit": units.get(name, ""), "source": sources.get(name, "")}
        heads.append({**told, "kind": "number" if kind in "iuf" else "mark" if kind == "b" else "text"})
    if "label" not in table:
        heads.insert(0, {"name": "number", "unit": "", "source": "as in the picture", "kind": "number"})
    values = [[_plain(value) for value in table[name].tolist()] for name in shown]
    if "label" not in table:
        values.insert(0, _numbers(table).tolist())
    key = shown.index("label") if "label" in table else 0
    return {"columns": heads, "values": values, "key": key, "marked": _marked(table).astype(int).tolist()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if value is None or value != value:
        return None
    return value if isinstance(value, (bool, int)) else str(value)
