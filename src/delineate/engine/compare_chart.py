"""The chart of a comparison: accuracy against time an image, and against training images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .compare_result import ModelComparison


def draw(found: ModelComparison, path: Path) -> Path:
    """Write the picture.

    Args:
        found: the comparison.
        path: a .png, .svg or .pdf file.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    curves = found.curves
    figure = Figure(figsize=(11 if curves else 6.5, 4.5), layout="constrained")
    axes = figure.subplots(1, 2 if curves else 1, squeeze=False)[0]
    _against_time(found, axes[0])
    if curves:
        _against_images(found, axes[1])
    figure.savefig(path, dpi=150)
    return path


def _against_time(found: ModelComparison, axes: Axes) -> None:
    """A point per model that saw all images; its area grows with the minutes of its training."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    colours = _colours(found)
    for candidate in found.whole:
        colour = colours[candidate.model]
        axes.errorbar(
            candidate.ms, candidate.score,
            yerr=[[candidate.score - candidate.low], [candidate.high - candidate.score]],
            color=colour, capsize=3, linewidth=1,
        )  # fmt: skip
        axes.scatter(
            candidate.ms, candidate.score, s=30 + 6 * candidate.minutes, color=colour,
            zorder=3, clip_on=False,
        )  # fmt: skip
        told = f"{candidate.minutes:.0f} min" if candidate.trained else "as is"
        axes.annotate(
            f"{candidate.name}\n{told}", (candidate.ms, candidate.score),
            textcoords="offset points", xytext=(7, 5), fontsize=8, color=colour,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.25, y=0.15)
    axes.set(xlabel="ms an image", ylabel=found.metric, title="accuracy against time (area: training)")
    axes.set_ylim(bottom=0 if _near_zero(found) else None)
    axes.grid(alpha=0.3)


def _colours(found: ModelComparison) -> dict[str, str]:
    """By model, the same in both panels."""
    models = dict.fromkeys(c.model for c in found.candidates)
    return {model: f"C{i}" for i, model in enumerate(models)}


def _near_zero(found: ModelComparison) -> bool:
    """Whether the axis should begin at 0: unless all scores are high."""
    return min(c.low for c in found.candidates) < 0.5


def _against_images(found: ModelComparison, axes: Axes) -> None:
    """A line per model: what more labels bring."""
    colours = _colours(found)
    for name, rows in found.curves.items():
        images, scores = [c.images for c in rows], [c.score for c in rows]
        axes.plot(images, scores, "o-", color=colours[name], label=name)
        low, high = [c.low for c in rows], [c.high for c in rows]
        axes.fill_between(images, low, high, color=colours[name], alpha=0.15)
    axes.set(xlabel="training images", ylabel=found.metric, title="what more labels bring")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
