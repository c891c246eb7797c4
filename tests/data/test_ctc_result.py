"""A result folder written frame by frame, read back, and scored by py-ctcmetrics too."""

from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.formats.ctc import read
from delineate.data.formats.ctc_result import ResultWriter


def frame(*ids: int, width: int = 30) -> Instances:
    label = np.zeros((12, width), int)
    for k, i in enumerate(ids):
        label[2:8, 6 * k + 1 : 6 * k + 5] = i
    return Instances(label.shape, masks=Masks.from_label_image(label, ids), ids=list(ids))


def rows(folder: Path) -> list[str]:
    return (folder / "res_track.txt").read_text().splitlines()


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "01_RES") as writer:
        writer.add(frame(1, 4))
        writer.add(frame(2, 3, 4), {2: 1, 3: 1})
        writer.add(frame())
    found = read(tmp_path / "01_RES")
    assert rows(tmp_path / "01_RES") == ["1 0 0 0", "2 1 1 1", "3 1 1 1", "4 0 1 0"]
    assert [found[t].objects.ids.tolist() for t in range(3)] == [[1, 4], [2, 3, 4], []]
    assert found[1].objects.masks == frame(2, 3, 4).masks
    assert found.lineage is not None
    assert found.lineage.divisions == {1: (2, 3)}


def test_a_gap_and_ids_beyond_16_bits(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, frames=2000) as writer:
        for ids in ((1, 70_000), (70_000,), (1, 70_000)):
            writer.add(frame(*ids))
    assert rows(tmp_path) == ["1 0 0 0", "65534 2 2 1", "65535 0 2 0"]
    assert writer.losses.counts == {"ids": 2}
    assert (tmp_path / "mask0002.tif").exists()
    read(tmp_path)


def test_an_object_under_others_and_one_without_mask(tmp_path: Path) -> None:
    whole = np.ones((1, 4, 4), bool)
    two = Instances((4, 4), masks=Masks.from_dense(np.concatenate((whole, whole))), ids=[1, 2])
    boxes = Instances((4, 4), boxes=[[0, 0, 2, 2]], ids=[3])
    with ResultWriter(tmp_path) as writer:
        writer.add(two)
        writer.add(boxes)
    assert rows(tmp_path) == ["2 0 0 0"]
    assert writer.losses.counts == {"overlaps": 1, "boxes only": 1}


def test_nothing_is_overwritten_and_ids_are_needed(tmp_path: Path) -> None:
    with ResultWriter(tmp_path) as writer:
        writer.add(frame(1))
        with pytest.raises(DatasetError, match="ids"):
            writer.add(Instances.empty((12, 30)))
    with pytest.raises(DatasetError, match="empty it"):
        ResultWriter(tmp_path)
