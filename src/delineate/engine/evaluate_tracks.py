"""Evaluation of tracks: any tool's results against the truth, sequence by sequence, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import Progress

from delineate.core.errors import DelineateError, InputError
from delineate.data.formats.mot import CLASSES as MOT_CLASSES
from delineate.data.track_files import open_tracks
from delineate.data.tracks import TrackedFrame, TrackSequence, empty_frame
from delineate.metrics.clear_mot import ClearMOT
from delineate.metrics.ctc_seg import CtcSeg
from delineate.metrics.ctc_tra import CtcTra
from delineate.metrics.distractors import on_distractors
from delineate.metrics.hota import HOTA
from delineate.metrics.identity import Identity
from delineate.metrics.track_frames import TrackFrames
from delineate.metrics.track_overlap import box_iou, overlap

from .track_pictures import worst_frames
from .track_timeline import Timeline, timeline
from .tracks_report import TracksReport

METRICS = {
    "hota": "HOTA, DetA, AssA, LocA",
    "clear": "MOTA, MOTP, identity switches; MOTSA, sMOTSA, MOTSP by mask",
    "identity": "IDF1, IDP, IDR",
    "ctc": "SEG, TRA, DET, LNK of the Cell Tracking Challenge",
}
Kind = Literal["mask", "box"]
DISTRACTORS = ("person on vehicle", "static person", "distractor", "reflection")
"""Of MOT Challenge's classes those that a pedestrian detector may find without being wrong."""
Tracks = str | Path | TrackSequence | Sequence[TrackSequence]
_BOX_METRICS = ("hota", "clear", "identity")


def evaluate_tracks(
    results: Tracks,
    truth: Tracks,
    *,
    metrics: Sequence[str] | None = None,
    by: Kind | None = None,
    images: str | Path | None = None,
    progress: bool = True,
) -> TracksReport:
    """Score tracked objects against the truth.

    One frame of each side is in memory at a time. A sequence that cannot be read, or has no results, does not
    stop the rest: it is left out of the scores and listed in ``report.failed``.

    Args:
        results: a path, see :func:`~delineate.data.track_files.open_tracks`, or sequences.
        truth: likewise. Sequences belong together by their names; one and one do so whatever their names.
        metrics: some of ``"hota"``, ``"clear"``, ``"identity"``, ``"ctc"``. Default: ``"ctc"`` for folders of
            the Cell Tracking Challenge (with ``images`` ``"clear"`` too), else the other three.
        by: compare objects by IoU of ``"mask"`` or ``"box"``. Default: masks where both sides have them.
        images: the folder of the frames, or of a folder for each sequence, for pictures of the worst frames.
        progress: show a progress bar on stderr where that is a terminal.

    Returns:
        A frozen report that prints itself, and saves itself as JSON and CSV.

    Raises:
        InputError: results and truth do not belong together, a setting is wrong, or no sequence at all could
            be scored.

    Example:
        >>> from delineate.core.instances import Instances
        >>> def decode(number: int) -> TrackedFrame:
        ...     return TrackedFrame(number, Instances((9, 9), boxes=[[0, 0, 4, 4]], ids=[7]))
        >>> video = TrackSequence("a", (0, 1), Instances((9, 9)).classes, decode, Path("a"), kind="box")
        >>> evaluate_tracks(video, video).scores["hota/HOTA"]
        1.0
    """
    started = time.monotonic()
    found, true = _sequences(results, truth=False), _sequences(truth, truth=True)
    chosen = _chosen(metrics, true, images is not None)
    run = _Run(chosen, _kind(by, found + true))
    pairs, failed, notes = _paired(found, true)
    console = Console(stderr=True, quiet=not (progress and Console(stderr=True).is_terminal))
    with Progress(console=console, transient=True, disable=console.quiet) as bar:
        task = bar.add_task("evaluating", total=sum(len(t) for _, t in pairs))
        for result, reference in pairs:
            try:
                run.sequence(result, reference, lambda: bar.advance(task))
            except DelineateError as error:
                failed.append((reference.name, " ".join(str(error).split())))
    if not run.scored:
        name, reason = failed[0] if failed else ("", "the truth has no sequence")
        raise InputError(f"{_name(results)}: no sequence could be scored; the first, {name!r}: {reason}")
    timelines = run.timelines()
    by_name = {reference.name: (result, reference) for result, reference in pairs}
    return TracksReport(
        results=_name(results),
        truth=_name(truth),
        sequences=tuple(run.scored),
        frames=run.frames,
        parts={name: metric.compute() for name, metric in run.metrics.items()},
        failed=tuple(failed),
        notes=(*notes, *run.notes),
        seconds=time.monotonic() - started,
        timelines=timelines,
        worst=() if images is None else worst_frames(timelines, by_name, Path(images)),
    )


def _sequences(given: Tracks, truth: bool) -> list[TrackSequence]:
    if isinstance(given, str | Path):
        return open_tracks(given, truth)
    found = [given] if isinstance(given, TrackSequence) else list(given)
    if not found or not all(isinstance(sequence, TrackSequence) for sequence in found):
        raise InputError("evaluate_tracks: expected a path or track sequences, got others; see open_tracks")
    return found


def _name(given: Tracks) -> str:
    if isinstance(given, str | Path):
        return str(given)
    return ", ".join(s.name for s in ([given] if isinstance(given, TrackSequence) else given))


def _chosen(metrics: Sequence[str] | None, truth: list[TrackSequence], pictures: bool) -> tuple[str, ...]:
    """The names of the metrics in the order of :data:`METRICS`; ``ctc`` alone knows no worst frames."""
    cells = all(sequence.lineage is not None for sequence in truth)
    if metrics is None:
        wanted = ("ctc", "clear") if pictures else ("ctc",)
        return tuple(name for name in METRICS if name in wanted) if cells else _BOX_METRICS
    if isinstance(metrics, str) or not metrics or not set(metrics) <= set(METRICS):
        raise InputError(
            f"evaluate_tracks, metrics: expected some of {list(METRICS)}, got {metrics!r}; choose from these"
        )
    if "ctc" in metrics and not cells:
        raise InputError(
            "evaluate_tracks, metrics: expected the truth in folders of the Cell Tracking Challenge for "
            "'ctc', got another format; choose hota, clear or identity"
        )
    if pictures and set(metrics) == {"ctc"}:
        raise InputError(
            "evaluate_tracks, metrics: expected hota, clear or identity beside ctc for pictures of the worst "
            "frames, got ctc alone; add clear, or leave the images out"
        )
    return tuple(name for name in METRICS if name in metrics)


def _kind(by: str | None, sequences: Iterable[TrackSequence]) -> Kind:
    if by not in (None, "mask", "box"):
        raise InputError(f"evaluate_tracks, by: expected 'mask' or 'box', got {by!r}; choose one")
    boxes = [sequence for sequence in sequences if sequence.kind == "box"]
    if by == "mask" and boxes:
        raise InputError(
            f"{boxes[0].where}: expected masks to compare by, got boxes only; choose by='box' (`--by box`)"
        )
    return "box" if boxes or by == "box" else "mask"


def _paired(
    found: list[TrackSequence], true: list[TrackSequence]
) -> tuple[list[tuple[TrackSequence, TrackSequence]], list[tuple[str, str]], list[str]]:
    """What belongs together, truth without results, and notes."""
    if len(found) == len(true) == 1:
        return [(found[0], true[0])], [], []
    named = {sequence.name: sequence for sequence in found}
    pairs = [(named[t.name], t) for t in true if t.name in named]
    failed = [(t.name, "no results of this sequence") for t in true if t.name not in named]
    known = {t.name for t in true}
    strange = [name for name in named if name not in known]
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    notes = [f"without truth and not scored: {', '.join(strange[:3])}{more}"] if strange else []
    return pairs, failed, notes


class _Run:
    """Metrics fed sequence by sequence; a sequence counts when all of it could be read."""

    def __init__(self, chosen: Sequence[str], kind: Kind) -> None:
        self.kind: Kind = kind
        makers: dict[str, Callable[[], Any]] = {
            "hota": lambda: HOTA(kind),
            "clear": lambda: ClearMOT(kind),
            "identity": lambda: Identity(kind),
        }
        self.metrics: dict[str, Any] = {name: makers[name]() for name in chosen if name in makers}
        self.tracked = tuple(self.metrics)
        if "ctc" in chosen:
            self.metrics |= {"seg": CtcSeg(), "tra": CtcTra()}
        self.scored: list[str] = []
        self.numbers: dict[str, list[int]] = {}
        self.frames = 0
        self.notes: list[str] = []

    def sequence(self, found: TrackSequence, true: TrackSequence, tick: Callable[[], object]) -> None:
        """Read one sequence and add it."""
        name = true.name
        numbers = _numbers(found, true)
        tracked, seg, tra = TrackFrames(self.kind), CtcSeg(), CtcTra()
        size, overlapping = true.size or found.size or (1, 1), 0
        for number in numbers:
            reference, result = true.get(number), found.get(number)
            size = next((f.objects.size for f in (reference, result) if f is not None), size)
            reference = reference or empty_frame(number, size, true.classes, true.kind)
            result = result or empty_frame(number, reference.objects.size, found.classes, found.kind)
            overlapping += _overlap_among(result)
            if self.tracked:
                _feed(tracked, result, reference, name)
            if "tra" in self.metrics:
                tra.update(result.objects, reference.objects, number, name)
                if true.segmentation is not None and number in true.segmentation:
                    seg.update(result.objects, true.segmentation[number].objects, number, name)
            tick()
        if "tra" in self.metrics:
            tra.lineage(found.lineage, true.lineage, name)
            tra.compute()  # a lineage that does not fit is told before anything is counted
            self.metrics["tra"].merge(tra)
            self.metrics["seg"].merge(seg)
            if true.segmentation is None:
                self.notes.append(f"{name}: the truth has no SEG/, so there is no SEG")
        if overlapping and true.lineage is None:
            self.notes.append(
                f"{name}: masks of the results overlap (frames: {overlapping}), which MOTS does not allow"
            )
        for metric in self.tracked:
            self.metrics[metric].merge(tracked)
        self.scored.append(name)
        self.numbers[name] = numbers
        self.frames += len(numbers)

    def timelines(self) -> tuple[Timeline, ...]:
        """Who was followed when, of each sequence; none where no score compares boxes or masks."""
        if not self.tracked:
            return ()
        frames = self.metrics[self.tracked[0]]
        return tuple(timeline(frames, name, self.numbers[name]) for name in self.scored)


def _numbers(found: TrackSequence, true: TrackSequence) -> list[int]:
    """The frames of a video."""
    if true.complete and found.complete and true.lineage is not None and true.frames != found.frames:
        raise InputError(
            f"{found.where}: expected {len(true)} frames as {true.where} has, got {len(found)}; "
            "write a label image for every frame"
        )
    if true.complete and not set(found.frames) <= set(true.frames):
        strange = min(set(found.frames) - set(true.frames))
        raise InputError(
            f"{found.where}: expected frames {true.frames[0]} to {true.frames[-1]} as {true.where} has, "
            f"got frame {strange}; count frames as the truth does"
        )
    return sorted({*true.frames, *found.frames})


def _overlap_among(frame: TrackedFrame) -> bool:
    """Whether masks of a frame share pixels."""
    masks = frame.objects.masks
    return masks is not None and int(masks.union().area.sum()) < int(masks.area.sum())


def _feed(metric: TrackFrames, result: TrackedFrame, reference: TrackedFrame, sequence: str) -> None:
    """One frame; boxes are compared as their files write them, MOT Challenge's distractors are taken out."""
    pred, truth = result.objects, reference.objects
    if metric.kind == "mask":
        similarity = overlap(pred, truth, "mask") if pred.size == truth.size else None
    else:
        similarity = box_iou(
            pred.boxes if result.boxes is None else result.boxes,
            truth.boxes if reference.boxes is None else reference.boxes,
        )
    if reference.considered is not None and similarity is not None:
        vehicles = ("non-motorized vehicle",) if sequence.startswith("MOT20") else ()
        kinds = [MOT_CLASSES.names.index(name) for name in (*DISTRACTORS, *vehicles)]
        found = ~on_distractors(similarity, np.isin(truth.labels, kinds))
        judged = reference.considered & (truth.labels == 0)
        pred, truth, similarity = pred[found], truth[judged], similarity[found][:, judged]
    metric.update(pred, truth, result.number, sequence, similarity)
