"""`delineate leaves` from the command line, on drawn leaves whose diseased part is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import write_png
from delineate.engine.crops_calls import leaves


def run(*arguments: object) -> int:
    return main([str(a) for a in ("leaves", *arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    image = np.full((100, 160, 3), (236, 232, 230), np.uint8)
    image[20:80, 10:70] = image[20:80, 90:150] = (80, 135, 40)
    lesions = np.zeros((100, 160), np.uint16)
    lesions[30:45, 20:40] = 1  # 300 of 3600 pixels
    lesions[50:60, 95:101] = 2  # 60 of 3600
    lesions[5:9, 78:82] = 3  # on no leaf
    image[lesions > 0] = (120, 70, 40)
    image[5:9, 78:82] = (225, 222, 220)
    Image.fromarray(image).save(images / "leaf.png")
    write_png(labels / "leaf.png", lesions)
    return images, labels


def test_the_diseased_part_of_each_leaf(photos: tuple[Path, Path], tmp_path: Path) -> None:
    images, labels = photos
    out = tmp_path / "out"
    assert run(images, "--labels", labels, "--scale", "0.5", "--out", out) == 0
    table = pd.read_csv(out / "objects.csv").sort_values("x")
    assert table["leaf_source"].tolist() == ["colour", "colour"]
    assert table["diseased_fraction"].to_numpy() == pytest.approx([300 / 3600, 60 / 3600], rel=0.06)
    assert table["severity"].tolist() == [4, 2] and table["lesions"].tolist() == [1, 1]
    assert table["area_mm2"].to_numpy() == pytest.approx(table["area"] / 4)
    spots = pd.read_csv(out / "lesions.csv")
    assert spots["leaf"].isna().tolist() == [False, False, True]
    assert set(spots["lesion"]) == {3, 4, 5}  # numbered on from the leaves, as in the overlay
    assert list(table["link"]) == [f"pages/leaf.html#{n}" for n in table["leaf"]]
    assert list(spots["link"]) == [f"pages/leaf.html#{n}" for n in spots["lesion"]]
    assert (out / "pages" / "leaf.html").read_text("utf-8").count("<path ") == 5
    told = pd.read_csv(out / "columns.csv", keep_default_na=False)
    assert (told["source"] != "").all()
    line = pd.read_csv(out / "images.csv").iloc[0]
    assert (line["leaves"], line["lesions"], line["loose_lesions"]) == (2, 3, 1)
    assert (out / "overlays" / "leaf.png").is_file()


def test_leaves_that_are_labelled() -> None:
    dense = np.zeros((3, 40, 40), bool)
    dense[0, :, :30] = True
    dense[1, 0:10, 0:12] = dense[2, 5:15, 0:12] = True  # two lesions that overlap
    names = Labels(("leaf", "rust"))
    both = Instances((40, 40), masks=Masks.from_dense(dense), labels=[0, 1, 1], classes=names)
    frame = leaves(both[1:], both[:1], severity="horsfall-barratt")
    assert frame["diseased_area"].tolist() == [180]
    assert frame["diseased_fraction"].tolist() == [0.15] and frame["severity"].tolist() == [4]
    assert frame["fraction_rust"].tolist() == [0.15]
    assert frame.attrs["settings"]["leaves"] == "given"
    assert not len(leaves(both[:0], both[:0]))


def test_the_real_leaves(data_dir: Path, tmp_path: Path) -> None:
    """Two regions have no class: they are left out when asked for; every image has its leaf by colour."""
    out = tmp_path / "out"
    arguments = (data_dir / "rice_leaf_via", "--split", "val", "--skip-invalid", "--out", out, "--quiet")
    assert run(*arguments, "--no-pictures", "--no-page") == 0
    lines = pd.read_csv(out / "images.csv")
    assert len(lines) == 16 and (lines["leaves"] >= 1).all() and (lines["loose_lesions"] == 0).all()
    assert lines["diseased_fraction"].between(0.03, 0.7).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--severity", "mild"), "--severity: expected one of brown-spot"),
        (("--leaves", "tree"), "tree"),
        (("--leaves", "object"), "expected other classes beside"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], message: str, photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    assert run(images, "--labels", labels, *arguments) == 2
    assert message in capsys.readouterr().err


def test_grey_pictures_have_no_leaves_by_colour(
    photos: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = photos
    Image.open(images / "leaf.png").convert("L").save(images / "leaf.png")
    code = run(images, "--labels", labels)
    error = capsys.readouterr().err
    assert code in (0, 2) and ("expected a colour image" in error or code == 0)
