"""TRA, DET and LNK of the Cell Tracking Challenge: what it takes to mend a result's graph of cells and links.

Matula et al., "Cell Tracking Accuracy Measurement Based on Comparison of Acyclic Oriented Graphs", PLoS ONE
2015 (AOGM), and celltrackingchallenge.net, "Evaluation methodology". A cell in a frame is a vertex; a cell
and itself in the next frame, or a parent and its child, are an edge. Mending costs 5 for each vertex to be
split, 10 to be added, 1 to be removed; 1 for each edge to be removed, 1.5 to be added, 1 to change its kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from delineate.core.errors import InputError
from delineate.core.lineage import Lineage

from .ctc_cover import Cover, CtcFrames
from .ctc_report import CtcTraReport, GraphCounts

Vertex = tuple[int, int]  # frame, id
Edge = tuple[Vertex, Vertex]


class CtcTra(CtcFrames):
    """TRA, DET and LNK over the frames of many sequences.

    Example:
        >>> import numpy as np
        >>> from delineate.core.instances import Instances
        >>> from delineate.core.masks import Masks
        >>> def frame(*ids: int) -> Instances:
        ...     label = np.repeat(ids, 3)[None].repeat(3, 0)
        ...     return Instances(label.shape, masks=Masks.from_label_image(label, ids), ids=list(ids))
        >>> metric = CtcTra()
        >>> for number, found in enumerate([(1, 2), (1, 2), (2, 1)]):
        ...     metric.update(frame(*found), frame(1, 2), number)
        >>> scores = metric.compute().scores
        >>> scores["ED"], scores["EA"], round(scores["TRA"], 4)
        (2, 2, 0.9242)
    """

    def __init__(self) -> None:
        super().__init__()
        self._lineages: dict[str, tuple[Lineage | None, Lineage | None]] = {}

    def lineage(self, pred: Lineage | None, truth: Lineage | None, sequence: str = "") -> None:
        """Tell the parents of a sequence's tracks; without, no track has a parent.

        Raises:
            InputError: told twice.
        """
        if sequence in self._lineages:
            raise InputError(
                f"CtcTra: expected the lineage of {sequence!r} once, got it twice; name the sequences apart"
            )
        self._lineages[sequence] = (pred, truth)

    def merge(self, other: CtcTra) -> None:
        """Take over the frames and lineages of another shard.

        Raises:
            InputError: a frame seen by both, or a lineage told to both.
        """
        super().merge(other)
        for sequence, (pred, truth) in other._lineages.items():
            self.lineage(pred, truth, sequence)

    def compute(self) -> CtcTraReport:
        """The scores of all frames so far; may be called again after more updates.

        Raises:
            InputError: a lineage tells of a track in a frame where it is not, or not of one that is.
        """
        counts = {}
        for sequence in self.sequences:
            pred, truth = self._lineages.get(sequence, (None, None))
            counts[sequence] = _compare(list(self.numbered(sequence)), pred, truth)
        return CtcTraReport(counts)


def _compare(frames: list[tuple[int, Cover]], pred: Lineage | None, truth: Lineage | None) -> GraphCounts:
    """What must be done to the result's graph to get the reference's."""
    true_edges = _edges({(t, i) for t, f in frames for i in f.true.tolist()}, truth)
    found_edges = _edges({(t, i) for t, f in frames for i in f.predicted.tolist()}, pred)
    vertices = missing = extra = splits = 0
    same: dict[Vertex, Vertex] = {}  # of the result's vertices that cover one cell, the cell
    for t, frame in frames:
        cells = Counter(frame.by.tolist())
        vertices += len(frame.true)
        missing += len(frame.true) - len(frame.cell)
        extra += len(frame.predicted) - len(cells)
        splits += sum(cells.values()) - len(cells)
        for cell, by in zip(frame.cell.tolist(), frame.by.tolist(), strict=True):
            if cells[by] == 1:
                same[t, int(frame.predicted[by])] = (t, int(frame.true[cell]))
    mapped = {(same[a], same[b]): kind for (a, b), kind in found_edges.items() if a in same and b in same}
    both = mapped.keys() & true_edges.keys()
    return GraphCounts(
        splits=splits,
        missing=missing,
        extra=extra,
        wrong_edges=len(mapped) - len(both),
        missing_edges=len(true_edges) - len(both),
        changed_edges=sum(mapped[edge] != true_edges[edge] for edge in both),
        vertices=vertices,
        edges=len(true_edges),
    )


def _edges(vertices: set[Vertex], lineage: Lineage | None) -> dict[Edge, str]:
    """The edges of a graph: ``"track"`` from frame to frame, ``"parent"`` to a child's first frame."""
    edges = {((t, i), (t + 1, i)): "track" for t, i in vertices if (t + 1, i) in vertices}
    if lineage is None:
        return edges
    _check(vertices, lineage)
    last = dict(zip(lineage.ids.tolist(), lineage.end.tolist(), strict=True))
    return edges | {((last[p], p), (begin, i)): "parent" for i, begin, _, p in lineage.rows() if p}


def _check(vertices: set[Vertex], lineage: Lineage) -> None:
    """The lineage tells of just the cells that are there."""
    last = max((t for t, _ in vertices), default=-1)
    late = lineage.end > last
    if late.any():
        raise InputError(
            f"{lineage.where}: track {lineage.ids[late][0]}: expected frames up to {last}, the last one "
            f"with objects, got {lineage.end[late][0]}; correct the line"
        )
    told = set(_told(lineage))
    for (t, i), said in [(v, True) for v in sorted(told - vertices)[:1]] + [
        (v, False) for v in sorted(vertices - told)[:1]
    ]:
        got = "none" if said else "one that it does not tell of"
        raise InputError(
            f"{lineage.where}: expected track {i} in just the frames it tells of, got {got} in frame {t}; "
            "write the first and last frame of each track, and give a track with a gap two ids"
        )


def _told(lineage: Lineage) -> Iterator[Vertex]:
    for i, begin, end, _ in lineage.rows():
        yield from ((t, i) for t in range(begin, end + 1))
