"""Every column of every table that the command writes has a source, lengths and areas a unit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from delineate.cli import main

LENGTHS = re.compile(
    r"(^|_)(distance|length|perimeter|diameter|area|volume|centroid|bbox)(_|-|$)|_(um|mm)[23]?$"
)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    labels = np.zeros((60, 80), np.uint16)
    for n in range(9):
        labels[4 + 18 * (n // 3) : 14 + 18 * (n // 3) + n, 5 + 25 * (n % 3) : 27 + 24 * (n % 3)] = n + 1
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("p_A01", "p_B02"):
        Image.fromarray(labels).save(tmp_path / "labels" / f"{name}.png")
        pixels = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    tifffile.imwrite(
        tmp_path / "stack.tif", np.stack([labels] * 4), photometric="minisblack", metadata={"axes": "ZYX"}
    )
    return tmp_path


def check(about: pd.DataFrame) -> None:
    assert not about.empty and about["source"].astype(bool).all()
    assert not (about["source"] == "as the dataset has it").any()
    for row in about.to_dict("records"):
        if LENGTHS.search(row["column"]) and not row["column"].startswith("density"):
            assert row["unit"], row


EVERYTHING = ("--neighbours", "--radius", "9", "--pixel-size", "0.5")


def test_tables_of_images(cells: Path) -> None:
    out = cells / "out"
    more = ("--texture", "--background", "3", "--plate", "--by", "well", "--distributions", "--page")
    images = ("--images", str(cells / "images"))
    assert main(["measure", str(cells / "labels"), *images, *EVERYTHING, *more, "--out", str(out)]) == 0
    about = pd.read_csv(out / "columns.csv", keep_default_na=False)
    check(about)
    for path in out.glob("*.csv"):
        if path.stem != "columns":
            told = about[about["table"] == path.stem]["column"].tolist()
            assert told == pd.read_csv(path, nrows=0).columns.tolist(), path.stem


def test_tables_of_stacks(cells: Path) -> None:
    out = cells / "out"
    assert main(["measure", str(cells / "stack.tif"), *EVERYTHING, "--z-step", "2", "--out", str(out)]) == 0
    check(pd.read_csv(out / "columns.csv", keep_default_na=False))


def test_parquet_carries_them(cells: Path) -> None:
    out = cells / "cells.parquet"
    assert main(["measure", str(cells / "labels"), *EVERYTHING, "--out", str(out)]) == 0
    schema = pq.read_schema(out)
    for field in schema:
        assert field.metadata and field.metadata[b"source"], field.name
    assert json.loads(schema.metadata[b"delineate"])["units"]["area_um2"] == "µm^2"
