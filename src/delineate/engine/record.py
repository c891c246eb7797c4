"""What is kept of a training: two CSV tables, TensorBoard where it is installed, a picture of the curves.

``steps.csv`` has a row every few steps (losses, lr, images/s), ``scores.csv`` one per evaluation.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.core.errors import MissingDependencyError

Row = dict[str, float]


class Log:
    """The tables of one training, in its folder.

    Args:
        folder: where they lie.
        step: rows after this step are dropped: a training that resumes there writes them again.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.folder = folder
        for name in ("steps", "scores"):
            rows = [r for r in read_table(folder / f"{name}.csv") if r["step"] <= step]
            self._rewrite(name, rows)
        self._board = _tensorboard(folder, step)

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard is installed and written to."""
        return self._board is not None

    def add(self, table: str, row: Mapping[str, float]) -> None:
        """One row, on disk at once; new columns widen the table.

        Args:
            table: "steps" or "scores".
            row: numbers by column, "step" among them.
        """
        path = self.folder / f"{table}.csv"
        header = _header(path)
        if set(row) <= set(header):
            with path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, header, restval="").writerow(_plain(row))
        else:
            self._rewrite(table, [*read_table(path), dict(row)])
        if self._board is not None:
            for name, value in row.items():
                if name not in ("step", "epoch"):
                    self._board.add_scalar(f"{table}/{name}", value, int(row["step"]))

    def _rewrite(self, table: str, rows: list[Row]) -> None:
        path = self.folder / f"{table}.csv"
        if not rows:
            path.unlink(missing_ok=True)
            return
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(_plain(r) for r in rows)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV log; a half-written last row is left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = []
        for record in csv.DictReader(file):
            try:
                rows.append({k: float(v) for k, v in record.items() if k is not None and v not in ("", None)})
            except ValueError:
                continue
    return [r for r in rows if "step" in r]


def draw_curves(folder: Path) -> Path:
    """``curves.png``: losses, learning rate and scores over the steps.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "curves.png: expected matplotlib, got none; pip install 'delineate[train]'"
        ) from None
    steps, scores = read_table(folder / "steps.csv"), read_table(folder / "scores.csv")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, rows, names, scale) in zip(figure.subplots(1, 3), _panels(steps, scores), strict=True):
        for name in names[:12]:
            points = [(r["step"], r[name]) for r in rows if name in r and math.isfinite(r[name])]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
        if axes.lines:
            axes.legend(fontsize=7, frameon=False)
            if scale == "log" and all((line.get_ydata() > 0).all() for line in axes.lines):
                axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    path = folder / "curves.png"
    figure.savefig(path, dpi=120)
    return path


def _panels(steps: list[Row], scores: list[Row]) -> list[tuple[str, list[Row], list[str], str]]:
    """Title, rows, columns and y scale of each panel of ``curves.png``."""
    losses = [name for name in (steps[-1] if steps else {}) if name.startswith("loss")]
    metrics = [name for name in (scores[-1] if scores else {}) if name not in ("step", "epoch", "seconds")]
    return [
        ("losses", steps, losses, "log"),
        ("learning rate", steps, ["lr"], "linear"),
        ("scores", scores, metrics, "linear"),
    ]


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _plain(row: Mapping[str, float]) -> dict[str, Any]:
    """Numbers as short text that reads back the same."""
    return {k: int(v) if k in ("step", "epoch") else repr(float(v)) for k, v in row.items()}


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
