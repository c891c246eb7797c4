"""Leaves in photographs: each with its lesions, its diseased part by class, and a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from delineate.apply.crops import sizes
from delineate.apply.lesions import SCALES, Diseased, SeverityScale, diseased, leaves_by_colour
from delineate.apply.plane_scale import PlaneScale
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .crops_columns import annotated
from .crops_run import CropsResult, Told, each_item, plain, table_of
from .crops_scale import ScaleChoice, scale_of_photo
from .crops_tags import photograph
from .crops_views import CropsViews, Shown, page_entries, with_links
from .measure_journal import MeasureJournal
from .measure_sources import Found, Item
from .track import of_classes

LEAF = ("image", "overlay", "link", "leaf", "leaf_source", "score")
LESION = ("image", "overlay", "link", "lesion", "leaf", "class", "score", "leaf_share", "x", "y", "area")


@dataclass(frozen=True)
class LeafSettings:
    """How leaves and lesions are told apart, and what is written beside the tables.

    Attributes:
        leaves: class names that are leaves, all others being lesions; none: leaves are found by colour.
        severity: the scale of scores.
        scale: how millimetres are found.
        views: overlays and pages that are written, or None.
    """

    leaves: tuple[str, ...] = ()
    severity: SeverityScale = SCALES["brown-spot"]
    scale: ScaleChoice = field(default_factory=ScaleChoice)
    views: CropsViews | None = None

    def plain(self) -> dict[str, Any]:
        """All of it as plain values, for the journal."""
        shown = None if self.views is None else [self.views.overlays, self.views.pages]
        return {**asdict(replace(self, views=None)), "views": shown}

    def told(self) -> dict[str, Any]:
        """What the tables' metadata say."""
        source = f"classes {', '.join(self.leaves)}" if self.leaves else "colour (CIELAB chroma, Otsu 1979)"
        return {"severity": self.severity.told(), "leaves": source, "scale": self.scale.kind}


def leaf_items(
    items: Sequence[Item],
    settings: LeafSettings,
    journal: MeasureJournal | None = None,
    tell: Told | None = None,
) -> CropsResult:
    """Joins leaves and lesions of every item.

    Args:
        items: photographs and their objects.
        settings: how.
        journal: what is done already is taken from it.
        tell: called with each item's name and its row.
    """
    records, failed = each_item(items, lambda item: leaves_of(item, settings), journal, tell)
    leaves = table_of(records, "leaves", LEAF)
    lesions = table_of(records, "lesions", LESION)
    for name in [c for c in leaves if str(c).startswith("fraction_")]:
        leaves[name] = leaves[name].fillna(0.0)
    lines, pages = page_entries(records, settings.views, ("leaves", "lesions"))
    images = pd.DataFrame(lines)
    annotated(leaves, [lesions, images], settings.told())
    return CropsResult({"objects": leaves, "lesions": lesions, "images": images}, images, failed, pages)


def leaves_of(item: Item, settings: LeafSettings) -> dict[str, Any]:
    """The record of one photograph: its leaves, its lesions and its line, as plain values."""
    found = item.look()
    leaves, lesions, source = _parted(found, settings)
    joined = diseased(leaves, lesions)
    path = photograph(item.files)
    warning = list(found.notes)
    scale = None
    try:
        scale = scale_of_photo(settings.scale, found.image, leaves.size, path, found.scale)
    except InputError as error:
        warning.append(f"no area in mm: {error}")
    head: dict[str, Any] = {"image": item.name, **item.groups}
    if settings.views is not None:
        head |= settings.views.head(item.file)
    rows = _leaf_rows(head, leaves, lesions, joined, source, scale, settings)
    spots = _lesion_rows(head, lesions, joined, len(leaves))
    page: dict[str, Any] = {}
    if settings.views is not None:
        shown = _shown(rows, spots, list(head), joined, warning)
        links, page = settings.views.write(item.file, item.name, _both(leaves, lesions), found.image, shown)
        rows = with_links(rows, None if links is None else links[: len(leaves)])
        spots = with_links(spots, None if links is None else links[len(leaves) :])
    loose = int((joined.leaf < 0).sum())
    line = head | {"status": "done", "reason": "", "warning": "; ".join(warning)}
    line |= {
        "height": leaves.size[0],
        "width": leaves.size[1],
        "leaves": len(leaves),
        "lesions": len(lesions),
    }
    line |= {"loose_lesions": loose, "healthy_leaves": int((joined.lesions == 0).sum())}
    total = int(joined.leaf_area.sum())
    line["diseased_fraction"] = float(joined.diseased_area.sum() / total) if total else None
    return {
        "image": {k: plain(v) for k, v in (line | page).items()},
        "leaves": rows,
        "lesions": spots,
    }


def _parted(found: Found, settings: LeafSettings) -> tuple[Instances, Instances, str]:
    """Leaves, lesions, and who says where the leaves are."""
    objects = found.objects
    if objects is None:
        raise InputError("expected a photograph, got a stack of slices; give single images")
    if settings.leaves:
        leaves = of_classes(objects, settings.leaves)
        rest = tuple(
            n for n in objects.classes.names if n.casefold() not in {m.casefold() for m in settings.leaves}
        )
        if not rest:
            raise InputError(
                f"--leaves: expected other classes beside {', '.join(settings.leaves)}, got none; "
                "lesions are those others"
            )
        return leaves, of_classes(objects, rest), "classes"
    if found.image is None or found.image.ndim != 3 or found.image.shape[2] != 3:
        raise InputError(
            "leaves: expected a colour image to find the leaves in, got none; name --leaves CLASS"
        )
    return leaves_by_colour(found.image, objects), objects, "colour"


def leaf_table(
    leaves: Instances,
    lesions: Instances,
    source: str,
    settings: LeafSettings,
    scale: PlaneScale | None = None,
) -> pd.DataFrame:
    """One row per leaf, without the image's columns.

    Args:
        leaves: N leaves with masks.
        lesions: of the same image.
        source: who says where the leaves are.
        settings: the scale of scores.
        scale: for areas in mm2.
    """
    rows = _leaf_rows({}, leaves, lesions, diseased(leaves, lesions), source, scale, settings)
    columns = ["leaf", "leaf_source", "lesions", "diseased_area", "diseased_fraction", "severity"]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _leaf_rows(
    head: dict[str, Any],
    leaves: Instances,
    lesions: Instances,
    joined: Diseased,
    source: str,
    scale: PlaneScale | None,
    settings: LeafSettings,
) -> list[dict[str, Any]]:
    flat = sizes(leaves)
    real = None if scale is None else sizes(leaves, scale)
    height, width = leaves.size
    x1, y1, x2, y2 = leaves.boxes.T
    border = (x1 <= 0) | (y1 <= 0) | (x2 >= width) | (y2 >= height)
    rows = []
    for j in range(len(leaves)):
        part = float(joined.fraction[j])
        row: dict[str, Any] = {**head, "leaf": j + 1, "leaf_source": source, "score": float(leaves.scores[j])}
        row |= {"x": flat.x[j], "y": flat.y[j], "area": joined.leaf_area[j]}
        row |= {"lesions": joined.lesions[j], "diseased_area": joined.diseased_area[j]}
        row |= {"diseased_fraction": part, "severity": settings.severity.score(part)}
        area = max(int(joined.leaf_area[j]), 1)
        for name, pixels in zip(lesions.classes.names, joined.by_class[j].tolist(), strict=True):
            row[f"fraction_{name}"] = pixels / area
        if real is not None:
            row["area_mm2"] = real.area[j]
            row["diseased_area_mm2"] = real.area[j] * part
        row |= {"touches_border": bool(border[j]), "degenerate": bool(joined.leaf_area[j] < 3)}
        rows.append({k: plain(v) for k, v in row.items()})
    return rows


def _lesion_rows(
    head: dict[str, Any], lesions: Instances, joined: Diseased, leaves: int
) -> list[dict[str, Any]]:
    """A row per lesion, numbered on from the leaves as in the overlay."""
    flat = sizes(lesions)
    rows = []
    for i, name in enumerate(lesions.names):
        leaf = int(joined.leaf[i]) + 1 if joined.leaf[i] >= 0 else None
        row = {**head, "lesion": leaves + i + 1, "leaf": leaf, "class": name}
        row |= {"score": float(lesions.scores[i]), "leaf_share": joined.share[i]}
        row |= {
            "x": flat.x[i],
            "y": flat.y[i],
            "area": flat.area[i],
            "degenerate": bool(not flat.area[i] >= 3),
        }
        rows.append({k: plain(v) for k, v in row.items()})
    return rows


def _both(leaves: Instances, lesions: Instances) -> Instances:
    """Leaves and lesions as one, the leaves first."""
    assert leaves.masks is not None and lesions.masks is not None
    return Instances(
        leaves.size,
        masks=Masks.concatenate([leaves.masks, lesions.masks]),
        labels=np.concatenate([np.zeros(len(leaves), np.int64), lesions.labels + 1]),
        classes=Labels(("leaf", *(f"lesion {name}" for name in lesions.classes.names))),
    )


def _shown(
    leaves: list[dict[str, Any]],
    lesions: list[dict[str, Any]],
    head: list[str],
    joined: Diseased,
    told: list[str],
) -> Shown:
    """The rows of both, leaves first, numbered through; loose and degenerate ones in red."""
    rows = [{"kind": "leaf", **row} for row in leaves] + [{"kind": "lesion", **row} for row in lesions]
    columns = [] if rows else ["kind", "class", "area"]
    frame = pd.DataFrame(rows, columns=columns or None).drop(columns=[*head, "lesion"], errors="ignore")
    for name in ("touches_border", "degenerate"):
        if name in frame:
            frame[name] = frame[name].fillna(False).astype(bool)
    marked = np.concatenate([np.zeros(len(leaves), bool), joined.leaf < 0])
    frame["loose"] = marked
    return Shown(frame, np.arange(1, len(rows) + 1), marked, tuple(told))
