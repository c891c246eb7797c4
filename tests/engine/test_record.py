"""The picture of a training's curves."""

from __future__ import annotations

from pathlib import Path

import pytest

from delineate.engine.record import draw_curves

STEPS = "step,epoch,seconds,loss,loss_class,lr\n10,0,5.0,2.0,1.0,0.1\n20,0,9000.0,1.0,0.5,0.01\n"
SCORES = "step,epoch,seconds,cells/AP50\n10,0,5.0,0.2\n20,0,9000.0,0.8\n"


def test_each_panel_shows_its_own_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: (drawn.append(k["label"]), plot(*a, **k))[1])
    (tmp_path / "steps.csv").write_text(STEPS)
    (tmp_path / "scores.csv").write_text(SCORES)
    assert draw_curves(tmp_path).stat().st_size > 1000
    assert drawn == ["loss", "loss_class", "lr", "cells/AP50"]


def test_a_training_that_logged_nothing_has_an_empty_picture(tmp_path: Path) -> None:
    assert draw_curves(tmp_path).is_file()
