"""SEG of the Cell Tracking Challenge: how well the reference cells are outlined.

Maška et al., "A benchmark for comparison of cell tracking algorithms", Bioinformatics 2014, and
celltrackingchallenge.net, "Evaluation methodology": a reference cell is matched by the one result that covers
more than half of it; SEG is the mean IoU over all reference cells, 0 for those without a match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ctc_cover import Cover, CtcFrames
from .metric import ScoreTable
from .track_tables import by_sequence, mean_of_defined, plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SegScores:
    """One sequence.

    Attributes:
        seg: mean IoU over the reference cells; NaN where there is none.
        cells: reference cells.
        matched: those that a result covers by more than half.
    """

    seg: float
    cells: int
    matched: int


@dataclass(frozen=True)
class CtcSegReport:
    """SEG over all sequences.

    Attributes:
        sequences: by name.
    """

    sequences: dict[str, SegScores]

    @property
    def scores(self) -> dict[str, float]:
        """``SEG``, mean of the sequences, and the counts."""
        each = list(self.sequences.values())
        return {
            "SEG": mean_of_defined(s.seg for s in each),
            "cells": sum(s.cells for s in each),
            "matched": sum(s.matched for s in each),
        }

    @property
    def protocol(self) -> dict[str, str]:
        """The choices behind the numbers, in words."""
        return {
            "definition": "SEG of the Cell Tracking Challenge: mean IoU over reference cells",
            "match": "the result that covers more than half of the reference cell; else 0",
            "frames": "those with reference segmentation",
            "sequences": "averaged",
            "classes": "not looked at",
        }

    @property
    def tables(self) -> tuple[ScoreTable, ...]:
        """The scores of each sequence."""
        rows = {n: {"SEG": s.seg, "cells": s.cells, "matched": s.matched} for n, s in self.sequences.items()}
        return by_sequence("CTC: segmentation", self.scores, rows)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None where undefined, ready for JSON."""
        each = {n: {"SEG": s.seg, "cells": s.cells, "matched": s.matched} for n, s in self.sequences.items()}
        return {"scores": plain(self.scores), "sequences": plain(each)}


class CtcSeg(CtcFrames):
    """SEG over the frames of many sequences that have reference segmentation.

    Example:
        >>> from delineate.core.instances import Instances
        >>> from delineate.core.masks import Masks
        >>> true = Instances((4, 5), masks=Masks.from_label_image(np.array([[1, 1, 0, 2, 2]] * 4)))
        >>> found = Instances((4, 5), masks=Masks.from_label_image(np.array([[1, 1, 1, 0, 2]] * 4)))
        >>> metric = CtcSeg()
        >>> metric.update(found, true, 0)
        >>> round(metric.compute().scores["SEG"], 4)
        0.3333
    """

    def compute(self) -> CtcSegReport:
        """SEG of all frames so far; may be called again after more updates."""
        return CtcSegReport({name: _judge(self.frames(name)) for name in self.sequences})


def _judge(frames: list[Cover]) -> SegScores:
    cells = sum(len(frame.true) for frame in frames)
    iou: Floats = np.concatenate((np.zeros(0), *(frame.iou for frame in frames)))
    return SegScores(float(np.sum(iou) / cells) if cells else float("nan"), cells, len(iou))
