"""Who is missed: results of any tool against the truth of videos, by size, crowding, occlusion, distance."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from delineate.apply.draw import overlay
from delineate.core.errors import DelineateError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.class_maps import ClassMap
from delineate.data.images import read
from delineate.data.track_dataset import numbered_images
from delineate.data.track_files import open_tracks
from delineate.data.tracks import TrackedFrame, TrackSequence, empty_frame
from delineate.data.write import atomic
from delineate.metrics.misses import EDGES, FATES, MissedDetections, MissedReport
from delineate.metrics.track_overlap import Kind, box_iou
from delineate.tracking.feet import feet
from delineate.tracking.ground import Ground

from .measure_tables import plain_table

WORST = 12
"""So many frames are drawn at most."""
_SHOWN = Labels(("not found", "false alarm", "found"))  # orange, blue, green


def missed_detections(
    results: str | Path | list[TrackSequence],
    truth: str | Path | list[TrackSequence],
    *,
    by: Kind | None = None,
    iou: float = 0.5,
    classes: ClassMap | None = None,
    ground: Ground | None = None,
    tick: Callable[[], object] | None = None,
) -> tuple[MissedReport, list[tuple[str, str]]]:
    """Judges every true object of videos.

    Args:
        results: a path, see :func:`~delineate.data.track_files.open_tracks`, or sequences.
        truth: likewise; sequences belong together by name, one and one whatever their names.
        by: compare masks or boxes; default masks where both sides have them.
        iou: from which an object is found.
        classes: what becomes of the classes of both sides; None where they are the same.
        ground: for distances from the camera.
        tick: called after each frame.

    Returns:
        The report, and the sequences that could not be judged with the reason.

    Raises:
        InputError: nothing could be judged.
    """
    found = open_tracks(results) if isinstance(results, str | Path) else results
    true = open_tracks(truth, truth=True) if isinstance(truth, str | Path) else truth
    if classes is not None:
        found, true = [classes.tracks(s) for s in found], [classes.tracks(s) for s in true]
    boxes = any(s.kind == "box" for s in (*found, *true))
    if by == "mask" and boxes:
        raise InputError("misses: expected masks on both sides, got boxes; choose by boxes (`--by box`)")
    whole = MissedDetections(by or ("box" if boxes else "mask"), iou)
    named = {s.name: s for s in found}
    failed: list[tuple[str, str]] = []
    for reference in true:
        result = found[0] if len(found) == len(true) == 1 else named.get(reference.name)
        try:
            if result is None:
                raise InputError("no results of this sequence")
            whole.merge(_judged(result, reference, whole, ground, tick))
        except DelineateError as error:
            failed.append((reference.name, " ".join(str(error).split())))
    report = whole.compute()
    if not report.frames:
        raise InputError(f"misses: no sequence could be judged; the first, {failed[0][0]!r}: {failed[0][1]}")
    return report, failed


def _judged(
    result: TrackSequence, reference: TrackSequence, like: MissedDetections, ground: Ground | None,
    tick: Callable[[], object] | None,
) -> MissedDetections:  # fmt: skip
    """One sequence."""
    metric = MissedDetections(like.kind, like.iou)
    for number in sorted({*reference.frames, *result.frames}):
        pred, true = _pair(result, reference, number)
        truth = true.objects
        if true.considered is not None:
            truth = truth.replace(crowd=truth.crowd | ~true.considered)
        similarity = None
        if like.kind == "box":
            one, two = (f.objects.boxes if f.boxes is None else f.boxes for f in (pred, true))
            similarity = box_iou(one, two)
        distance = None
        if ground is not None and ground.viewpoint is not None:
            places, _ = feet(truth)
            distance = np.linalg.norm(ground.to_ground(places) - ground.viewpoint, axis=1)
        metric.update(pred.objects, truth, number, reference.name, similarity, distance)
        if tick is not None:
            tick()
    return metric


def _pair(result: TrackSequence, reference: TrackSequence, number: int) -> tuple[TrackedFrame, TrackedFrame]:
    """The frame of both sides; an empty one where one has nothing."""
    pred, true = result.get(number), reference.get(number)
    size = next(f.objects.size for f in (true, pred) if f is not None)
    pred = pred or empty_frame(number, size, result.classes, result.kind)
    return pred, true or empty_frame(number, size, reference.classes, reference.kind)


def save_misses(report: MissedReport, out: Path, failed: list[tuple[str, str]]) -> list[Path]:
    """Writes ``misses.csv`` (a row per true object), ``tracks.csv``, ``report.txt`` and ``report.json``.

    Raises:
        InputError: nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out}: expected a folder to write to, got {error.strerror}; choose another"
        ) from None
    record: dict[str, Any] = {
        "objects": len(report.rows), "frames": report.frames, "false_alarms": report.false_alarms,
        "recall": None if np.isnan(report.recall) else report.recall, "by": report.kind, "iou": report.iou,
        "groups": {by: report.table(by).to_dict("index") for by in ("class", *EDGES)},
        "failed": [list(line) for line in failed],
    }  # fmt: skip
    contents: Mapping[str, str] = {
        "misses.csv": plain_table(report.rows).to_csv(index=False, float_format="%.4g"),
        "tracks.csv": plain_table(report.tracks()).to_csv(index=False),
        "report.txt": f"{report}\n",
        "report.json": json.dumps(record, indent=1),
    }
    for name, text in contents.items():
        with atomic(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [out / name for name in contents]


def worst_frames(
    report: MissedReport,
    results: list[TrackSequence],
    truth: list[TrackSequence],
    images: Path,
    out: Path,
    classes: ClassMap | None = None,
) -> list[Path]:
    """Draws the frames in which most is not found: found green, not found orange, false alarms blue.

    Args:
        report: of these sequences.
        results: as given to :func:`missed_detections`, opened.
        truth: likewise.
        images: a folder of images named by frame numbers, or of a folder of such for each sequence.
        out: a folder that exists.
        classes: as given there.

    Returns:
        The pictures, the worst first; fewer where images are missing.
    """
    rows = report.rows[report.rows["fate"] != "found"]
    worst = rows.groupby(["sequence", "frame"]).size().sort_values(ascending=False, kind="stable")
    mapped = (lambda s: s) if classes is None else classes.tracks
    true = {s.name: mapped(s) for s in truth}
    found = {s.name: mapped(s) for s in results}
    if len(true) == len(found) == 1:
        found = {next(iter(true)): next(iter(found.values()))}
    files: list[Path] = []
    for sequence, number in worst.index.tolist()[:WORST]:
        folder = images / sequence if (images / sequence).is_dir() else images
        picture = numbered_images(folder).get(int(number))
        if picture is None or sequence not in found:
            continue
        drawn = _drawn(report, found[sequence], true[sequence], int(number), read(picture).pixels)
        files.append(out / f"{len(files) + 1:02d}-{Path(sequence).name}-{int(number):06d}.png")
        with atomic(files[-1]) as temporary:
            drawn.save(temporary, "PNG")
    return files


def _drawn(
    report: MissedReport, result: TrackSequence, reference: TrackSequence, number: int, pixels: NDArray[Any]
) -> Image.Image:
    pred, true = _pair(result, reference, number)
    here = report.rows[(report.rows["sequence"] == reference.name) & (report.rows["frame"] == number)]
    good = set(here.loc[here["fate"] == "found", "track"].tolist())
    known = set(here["track"].tolist())
    truth = true.objects[~true.objects.crowd]
    ids = np.zeros(len(truth), np.int64) if truth.ids is None else truth.ids
    judged = truth[np.isin(ids, list(known))]
    kept = np.zeros(0, np.int64) if judged.ids is None else judged.ids
    state = np.where(np.isin(kept, list(good)), 2, 0)
    near = (
        box_iou(pred.objects.boxes, true.objects.boxes).max(axis=1, initial=0.0) if len(pred.objects) else []
    )
    alarms = pred.objects[np.asarray(near) < 0.1] if len(pred.objects) else pred.objects
    parts = [(judged, state), (alarms, np.full(len(alarms), 1))]
    shown = [
        Instances(
            o.size, boxes=o.boxes, masks=o.masks if report.kind == "mask" else None, labels=s, classes=_SHOWN
        )
        for o, s in parts
        if len(o)
    ]
    if not shown:
        return overlay(Instances.empty(true.objects.size, _SHOWN), pixels)
    return overlay(Instances.concatenate(shown), pixels)


__all__ = ["FATES", "missed_detections", "save_misses", "worst_frames"]
