"""Who is missed in dense traffic: detection of true objects by size, crowding, occlusion and distance.

Every true object of a frame has one fate, the first that fits:

1. ``found``: paired one to one with a prediction of its class of IoU >= 0.5 (the best sum of IoU);
2. ``wrong class``: a prediction of another class, paired with none, has IoU >= 0.5 with it;
3. ``shared``: a prediction covers more than half of it and more than half of another object: two under one;
4. ``inexact``: some prediction has IoU >= 0.1 with it;
5. ``missed``: nothing there.

Crowding is the largest IoU of its box with another true object's (as CrowdHuman bins it, Shao et al. 2018).
"Behind" is the share of its box under the boxes of objects that stand nearer, that is, lower in the picture;
where whole masks are known, give the hidden share instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from delineate.core import boxes as box
from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .track_overlap import EPS, Kind, box_iou, inside_ignored, overlap

Floats = NDArray[np.float64]
FATES = ("found", "wrong class", "shared", "inexact", "missed")
EDGES: dict[str, tuple[float, ...]] = {
    "height_px": (25, 50, 100, 200),
    "crowding": (0.001, 0.2, 0.4, 0.6),
    "behind": (0.001, 0.25, 0.5, 0.75),
    "distance_m": (10, 20, 40, 60),
}
"""What objects are sorted by, and where one group ends."""
HALF, SOME = 0.5, 0.1


class MissedDetections:
    """Fates of true objects over many frames.

    Args:
        kind: compare by IoU of ``"mask"`` or ``"box"``.
        iou: IoU from which a prediction finds an object, in 0.5..1.

    Raises:
        InputError: a setting is wrong.

    Example:
        >>> from delineate.core.instances import Instances
        >>> truth = Instances((99, 99), boxes=[[0, 0, 9, 40], [50, 0, 59, 40]], ids=[1, 2])
        >>> metric = MissedDetections("box")
        >>> metric.update(truth[:1], truth, frame=0)
        >>> report = metric.compute()
        >>> report.recall, report.table("height_px").loc["25 to 50", ["objects", "missed"]].tolist()
        (0.5, [2, 1])
    """

    def __init__(self, kind: Kind = "mask", iou: float = 0.5) -> None:
        if kind not in ("mask", "box") or not 0.5 <= iou <= 1:
            raise InputError(
                f"MissedDetections: expected kind 'mask' or 'box' and iou in 0.5..1, got {kind!r}, {iou}"
            )
        self.kind: Kind = kind
        self.iou = float(iou)
        self._rows: list[pd.DataFrame] = []
        self._frames: set[tuple[str, int]] = set()
        self._false = 0

    def update(
        self, pred: Instances, truth: Instances, frame: int, sequence: str = "",
        similarity: ArrayLike | None = None, distance: ArrayLike | None = None,
        hidden: ArrayLike | None = None,
    ) -> None:  # fmt: skip
        """Adds a frame.

        Args:
            pred: the P predictions that count.
            truth: the T true objects; crowds are ignore regions, and predictions in them are not judged.
            frame: its number.
            sequence: the name of the video.
            similarity: (P, T) to take instead of the IoU.
            distance: (T,) metres from the camera, NaN where not known.
            hidden: (T,) hidden share of each, 0..1, in place of ``behind``.

        Raises:
            InputError: other classes or sizes, a frame given twice, arrays of other lengths.
        """
        where = f"MissedDetections: sequence {sequence!r}, frame {frame}"
        if pred.classes != truth.classes:
            raise InputError(
                f"{where}: expected one list of classes in both, got others; map the labels first"
            )
        if self.kind == "mask" and pred.size != truth.size:
            raise InputError(f"{where}: expected a prediction of size {truth.size}, got {pred.size}")
        if (sequence, frame) in self._frames:
            raise InputError(f"{where}: expected every frame once, got it twice; name the sequences apart")
        matrix = overlap(pred, truth, self.kind) if similarity is None else np.asarray(similarity, np.float64)
        columns = [
            np.full(len(truth), np.nan) if c is None else np.asarray(c, np.float64)
            for c in (distance, hidden)
        ]
        if matrix.shape != (len(pred), len(truth)) or any(len(c) != len(truth) for c in columns):
            raise InputError(f"{where}: expected one number for each true object, got others")
        self._frames.add((sequence, int(frame)))
        judged = ~truth.crowd
        fate, free = self._fates(pred, truth, matrix, judged)
        if free.any() and truth.crowd.any():
            free &= ~inside_ignored(pred, truth[truth.crowd], self.kind)
        self._false += int(free.sum())
        behind = _behind(truth) if hidden is None else columns[1]
        ids = np.arange(len(truth)) if truth.ids is None else truth.ids
        rows = pd.DataFrame({
            "sequence": sequence, "frame": int(frame), "track": ids, "class": truth.names,
            "fate": np.array(FATES, object)[fate], "height_px": truth.boxes[:, 3] - truth.boxes[:, 1],
            "crowding": _crowding(truth), "behind": behind, "distance_m": columns[0],
        })  # fmt: skip
        self._rows.append(rows[judged])

    def _fates(
        self, pred: Instances, truth: Instances, matrix: Floats, judged: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(T,) the fate of each true object, and (P,) which predictions found none."""
        fate = np.full(len(truth), FATES.index("missed"))
        free = np.ones(len(pred), np.bool_)
        same = pred.labels[:, None] == truth.labels
        for allowed, name in ((same, "found"), (~same, "wrong class")):
            open_ = allowed & judged & free[:, None] & (fate == FATES.index("missed"))
            score = np.where(open_ & (matrix >= self.iou - EPS), matrix, 0.0)
            p, t = linear_sum_assignment(-score)
            p, t = p[score[p, t] > 0], t[score[p, t] > 0]
            fate[t] = FATES.index(name)
            free[p] = False
        lost = fate == FATES.index("missed")
        cover = _covers(pred, truth, self.kind) & judged
        two = (cover & (cover.sum(axis=1) > 1)[:, None]).any(axis=0)
        near = (matrix >= SOME).any(axis=0)
        fate[lost & near] = FATES.index("inexact")
        fate[lost & two] = FATES.index("shared")
        return fate, free

    def merge(self, other: MissedDetections) -> None:
        """Takes over the frames of another shard.

        Raises:
            InputError: other settings, or a frame seen by both.
        """
        if (other.kind, other.iou) != (self.kind, self.iou) or self._frames & other._frames:
            raise InputError(
                "MissedDetections.merge: expected other frames and the same settings, got others"
            )
        self._rows += other._rows
        self._frames |= other._frames
        self._false += other._false

    def compute(self) -> MissedReport:
        """The report so far."""
        names = ("sequence", "frame", "track", "class", "fate", *EDGES)
        empty = pd.DataFrame({name: pd.Series(dtype="object" if k in (0, 3, 4) else "float64")
                              for k, name in enumerate(names)})  # fmt: skip
        parts = [rows for rows in self._rows if len(rows)]
        rows = pd.concat(parts, ignore_index=True) if parts else empty
        return MissedReport(rows, len(self._frames), self._false, self.kind, self.iou)


def _covers(pred: Instances, truth: Instances, kind: Kind) -> NDArray[np.bool_]:
    """(P, T) whether a prediction covers more than half of a true object."""
    found = np.zeros((len(pred), len(truth)))
    if kind == "box":
        area = np.maximum(box.area(truth.boxes.astype(np.float64)), EPS)
        found = box.intersection(pred.boxes.astype(np.float64), truth.boxes.astype(np.float64)) / area
    elif pred.masks is not None and truth.masks is not None:
        i, j, pixels = pred.masks.intersection_pairs(truth.masks)
        found[i, j] = pixels / np.maximum(truth.masks.area[j], 1)
    return np.asarray(found > HALF, np.bool_)


def _crowding(truth: Instances) -> Floats:
    """(T,) largest IoU of each box with another's; crowds do not count."""
    matrix = box_iou(truth.boxes, truth.boxes)
    np.fill_diagonal(matrix, 0)
    matrix[:, truth.crowd] = 0
    found: Floats = matrix.max(axis=1, initial=0.0)
    return found


def _behind(truth: Instances) -> Floats:
    """(T,) share of each box under boxes that end lower in the picture; at most 1."""
    boxes = truth.boxes.astype(np.float64)
    shared = box.intersection(boxes, boxes)
    shared[:, truth.crowd] = 0
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    share = np.where(nearer, shared, 0.0).sum(axis=1) / np.maximum(box.area(boxes), EPS)
    found: Floats = np.minimum(share, 1.0)
    return found


@dataclass(frozen=True, eq=False)
class MissedReport:
    """What became of the true objects.

    Attributes:
        rows: one per true object and frame: ``sequence``, ``frame``, ``track``, ``class``, ``fate``,
            ``height_px``, ``crowding``, ``behind``, ``distance_m``.
        frames: how many.
        false_alarms: predictions that found none, ignore regions aside.
        kind: compared by masks or boxes.
        iou: from which an object counts as found.
    """

    rows: pd.DataFrame
    frames: int
    false_alarms: int
    kind: Kind
    iou: float

    @property
    def recall(self) -> float:
        """Share of true objects that are found; NaN without any."""
        return float((self.rows["fate"] == "found").mean()) if len(self.rows) else float("nan")

    def table(self, by: str) -> pd.DataFrame:
        """Objects, their fates and the recall by one of :data:`EDGES` or by ``"class"``.

        Raises:
            InputError: something else to group by.
        """
        if by == "class":
            return self._grouped(self.rows["class"])
        if by not in EDGES:
            raise InputError(
                f"misses: expected one of class, {', '.join(EDGES)}, got {by!r}; choose of these"
            )
        edges = (*EDGES[by], np.inf)
        names = [f"below {edges[0]:g}", *(f"{a:g} to {b:g}" for a, b in pairwise(edges))]
        names[-1] = f"{edges[-2]:g} and more"
        if edges[0] < 0.01:
            names[0], names[1] = "0", f"up to {edges[1]:g}"
        known = self.rows[self.rows[by].notna()]
        group = np.digitize(known[by].to_numpy(np.float64), edges[:-1])
        return self._grouped(pd.Series(np.array(names, object)[group], known.index), names)

    def _grouped(self, keys: pd.Series, order: list[str] | None = None) -> pd.DataFrame:
        rows = self.rows.loc[keys.index]
        counts = pd.DataFrame({
            "objects": rows.groupby(keys).size(),
            **{fate: (rows["fate"] == fate).groupby(keys).sum() for fate in FATES},
        })  # fmt: skip
        if order is not None:
            counts = counts.reindex([name for name in order if name in counts.index])
        counts = counts.astype(np.int64)
        return counts.assign(recall=counts["found"] / counts["objects"])

    def tracks(self) -> pd.DataFrame:
        """One row per true track: frames, frames found, the longest run of frames not found, and until found.

        ``until_found`` counts the frames from its first on; all of them where it is never found.
        """
        columns = ["sequence", "track", "class", "frames", "found", "longest_gap", "until_found"]
        ordered = self.rows.sort_values("frame", kind="stable")
        found = []
        for (sequence, track), rows in ordered.groupby(["sequence", "track"], sort=True):
            seen = (rows["fate"] == "found").to_numpy()
            gaps = np.diff(np.flatnonzero(np.concatenate([[True], seen, [True]]))) - 1
            first = int(np.argmax(seen)) if seen.any() else len(seen)
            kind = rows["class"].iloc[0]
            found.append((sequence, track, kind, len(seen), int(seen.sum()), int(gaps.max()), first))
        return pd.DataFrame(found, columns=columns)

    def __str__(self) -> str:
        total, fates = len(self.rows), self.rows["fate"].value_counts()
        parts = ", ".join(f"{int(fates.get(fate, 0))} {fate}" for fate in FATES)
        lines = [
            f"{total} true objects in {self.frames} frames: {parts}; recall {self.recall:.3f} by {self.kind} "
            f"(IoU {self.iou:g}); {self.false_alarms} false alarms"
        ]
        for by in ("class", *EDGES):
            table = self.table(by)
            if len(table):
                lines += [
                    "",
                    by,
                    f"{'':16}{'objects':>9}{'recall':>8}" + "".join(f"{f:>13}" for f in FATES[1:]),
                ]
                lines += [
                    f"{str(name)[:15]:16}{row.objects:9.0f}{row.recall:8.3f}"
                    + "".join(f"{row[f]:13.0f}" for f in FATES[1:])
                    for name, row in table.iterrows()
                ]
        tracks = self.tracks()
        if len(tracks):
            never = int((tracks["found"] == 0).sum())
            lines += ["", f"{never} of {len(tracks)} tracks are never found; the longest gap: "
                          f"{int(tracks['longest_gap'].max())} frames"]  # fmt: skip
        return "\n".join(lines)
