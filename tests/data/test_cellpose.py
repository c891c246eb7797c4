"""Cellpose's folders, and its pickle that is walked and not run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.data import open_dataset
from delineate.data.formats.cellpose_npy import read_masks
from delineate.data.images import write_png

LABELS = np.array([[0, 1, 1], [2, 0, 1]])


def seg(path: Path, **more: Any) -> Path:
    content = {
        "outlines": LABELS,
        "filename": "x.png",
        "flows": [[], LABELS],
        "est_diam": np.float64(3.5),
        **more,
    }
    np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", "<u4", "<f4", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, kind: str, order: str) -> None:
    masks = np.array(LABELS, kind, order=order)  # type: ignore[call-overload]
    np.testing.assert_array_equal(read_masks(seg(tmp_path / "a_seg.npy", masks=masks)), LABELS)


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"masks": Evil()}, "mkdir"),
        ({}, "masks"),
        ({"masks": LABELS[None]}, "3 dimensions"),
        ({"masks": [1]}, "no array"),
        ({"masks": np.array([["a"]])}, "no plain numbers"),
        ({"masks": LABELS, "other": Path("x")}, "pathlib"),
    ],
)
def test_npy_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=message):
        read_masks(seg(tmp_path / "a_seg.npy", **content))
    assert not (tmp_path / "made-by-a-pickle").exists()


def test_npy_damaged(tmp_path: Path) -> None:
    whole = seg(tmp_path / "a_seg.npy", masks=LABELS).read_bytes()
    for content in (b"", b"no npy", whole[:200], whole[:-40], pickle.dumps({"masks": 1})):
        (tmp_path / "b_seg.npy").write_bytes(content)
        with pytest.raises(DatasetError, match="nothing of it was run"):
            read_masks(tmp_path / "b_seg.npy")
    np.save(tmp_path / "c_seg.npy", LABELS)
    with pytest.raises(DatasetError, match="an array of int64"):
        read_masks(tmp_path / "c_seg.npy")


def test_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for name in ("a", "b", "c"):
            write_png(tmp_path / split / f"{name}.png", np.zeros((2, 3), np.uint8))
        write_png(tmp_path / split / "a_masks.png", LABELS.astype(np.uint16))
        write_png(tmp_path / split / "b_cp_masks.png", LABELS.astype(np.uint16))
        write_png(tmp_path / split / "b_cp_outlines.png", LABELS.astype(np.uint16))
        seg(tmp_path / split / "c_seg.npy", masks=LABELS)
    data = open_dataset(tmp_path)
    assert data.format == "Cellpose" and data.names == ["a.png", "b.png", "c.png"] * 2
    assert data.groups["split"] == ["test"] * 3 + ["train"] * 3
    for i in range(6):
        assert data.truth(i).area.tolist() == [3, 1] and data[i].image.shape == (2, 3)
    (tmp_path / "train" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"a_masks\.png"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, skip_invalid=True)) == 5
