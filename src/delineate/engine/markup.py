"""HTML built by functions: whatever is no markup already is escaped, so no name can break a page."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

VOID = ("img", "br", "meta", "line", "rect", "circle", "path")


class Markup(str):
    """Text that is markup already; only :func:`tag` and :func:`joined` make it."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Anything as markup: escaped, but for what is markup already."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value), quote=True))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after another, each escaped where it is no markup."""
    return Markup(between.join(text(part) for part in parts))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: of the element.
        content: what stands in it, escaped where it is no markup.
        attributes: None leaves one out; ``_`` becomes ``-``, and one at the end is dropped, as in ``class_``.

    Example:
        >>> tag("td", "<b>", class_="name", title=None)
        '<td class="name">&lt;b&gt;</td>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not content:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def table(columns: Iterable[object], rows: Iterable[Iterable[object]], class_: str = "") -> Markup:
    """A table with a heading; cells are escaped where they are no markup, given ``<td>`` stay as they are."""

    def cell(value: object) -> Markup:
        is_cell = isinstance(value, Markup) and value.startswith(("<td", "<th"))
        return text(value) if is_cell else tag("td", value)

    head = tag("tr", *(tag("th", column) for column in columns))
    body = joined((tag("tr", *(cell(value) for value in row)) for row in rows), "\n")
    return tag(
        "div", tag("table", tag("thead", head), tag("tbody", body), class_=class_ or None), class_="wide"
    )


def picture(data: bytes, kind: str, alt: str, **attributes: object) -> Markup:
    """A picture within the page; ``kind`` is ``"png"`` or ``"jpeg"``."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return tag("img", src=source, alt=alt, **attributes)
