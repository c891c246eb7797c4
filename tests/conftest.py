"""Where the real data and the malformed files lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from delineate.data.synthetic import SceneSettings, SyntheticDataset


def _data() -> Path:
    return Path(os.environ.get("DELINEATE_DATA", "DELINEATE_DATA-is-not-set"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with ``dsb2018/``, ``coco_subset/``, ``formats/`` and so on."""
    if not _data().is_dir():
        pytest.skip(f"no real data at {_data()}; set DELINEATE_DATA to the folder that holds dsb2018/")
    return _data()


@pytest.fixture(scope="session")
def bad_inputs() -> Path:
    """The folder of malformed files, beside the data."""
    folder = _data().parent / "bad_inputs"
    if not folder.is_dir():
        pytest.skip(f"no malformed files at {folder}; set DELINEATE_DATA to the data folder beside it")
    return folder


@pytest.fixture(scope="session")
def crowd() -> SyntheticDataset:
    """Twelve small synthetic crowds, apart, touching and overlapping in turn (column ``crowding``)."""
    levels = [SceneSettings(size=(96, 128), objects=12, crowding=level) for level in (0.0, 0.5, 1.0)]
    return SyntheticDataset.of(12, levels, seed=7)
