"""A camera over a rendered table: each fruit is counted once, and measured where it is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from delineate.apply.ripeness import GRADES
from delineate.core.instances import Instances
from delineate.data.images import read
from delineate.data.synthetic.produce import ProduceSettings, produce_scene
from delineate.data.write import write_png
from delineate.engine.crops_fruit import FruitSettings
from delineate.engine.crops_scale import parse_scale
from delineate.engine.crops_video import fruit_of_video
from delineate.engine.crops_views import CropsViews


def test_each_fruit_of_a_pan_is_counted_once(tmp_path: Path) -> None:
    scene = produce_scene(ProduceSettings(size=(360, 640), focal=700, fruit=9, markers=2, noise=1), 4)
    film = tmp_path / "film"
    film.mkdir()
    windows = []
    assert scene.instances.masks is not None
    for k in range(10):
        x = 28 * k
        write_png(film / f"{k:03d}.png", scene.image[:, x : x + 360])
        masks = scene.instances.masks.window(x, 0, x + 360, 360)
        kept = np.flatnonzero(np.asarray(masks.area) > 20)
        windows.append((Instances((360, 360), masks=masks[kept], classes=scene.instances.classes), kept))
    waiting = iter(windows)
    out = tmp_path / "out"
    settings = FruitSettings(parse_scale("0.5"), grades=GRADES["tomato"], views=CropsViews(out))
    done = fruit_of_video(film, lambda pixels: next(waiting)[0], settings)
    seen = np.bincount(np.concatenate([kept for _, kept in windows]), minlength=len(scene.instances))
    table = done.tables["objects"]
    assert (seen >= 5).sum() <= len(table) <= (seen >= 3).sum() < sum(len(kept) for _, kept in windows)
    whole = table[~table["touches_border"]]
    nearest = np.abs(whole["diameter_mm"].to_numpy()[:, None] - 0.5 * scene.diameters[None] * 700 / 400).min(
        axis=1
    )
    assert nearest.max() < 0.5
    assert (whole["diameter_range_mm"].dropna() < 0.5).all()
    for path in set(table["overlay"]):
        assert read(out / path).size[0] >= 360
    for link, number in zip(table["link"], table["number"], strict=True):
        page, _, anchor = link.partition("#")
        assert (out / page).is_file() and int(anchor) == number
    assert len(done.pages) == table["frame"].nunique()
    assert done.images.iloc[0]["count"] == len(table)
    assert all(done.tables["objects"].attrs["sources"].get(c) for c in table.columns)


def test_a_video_without_fruit(tmp_path: Path) -> None:
    for k in range(3):
        write_png(tmp_path / f"{k}.png", np.full((40, 50, 3), 80, np.uint8))
    done = fruit_of_video(tmp_path, lambda pixels: Instances.empty((40, 50)), FruitSettings())
    assert not len(done.tables["objects"]) and isinstance(done.images, pd.DataFrame)
    assert done.images.iloc[0]["count"] == 0
