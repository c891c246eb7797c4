"""Models by name and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from delineate.core.errors import CheckpointError, DelineateError, InputError
from delineate.core.labels import Labels
from delineate.engine.load import Model, load
from delineate.models.zoo import build


@pytest.fixture(scope="module")
def small() -> Model:
    torch.manual_seed(0)
    return Model(
        build("center_offset", channels=(8, 12), classes=Labels(("cell",))),
        "center_offset",
        "CC0-1.0",
        {"steps": 7},
    )


def test_saved_and_loaded_it_answers_the_same(small: Model, tmp_path: Path) -> None:
    path = small.save(tmp_path / "small.safetensors")
    again = load(weights=path, device="cpu")
    assert (again.name, again.licence, again.record) == ("center_offset", "CC0-1.0", {"steps": 7})
    assert again.classes.names == ("cell",)
    image = np.random.default_rng(0).integers(0, 255, (70, 90), dtype=np.uint8)
    a, b = small.predict(image, confidence=0.2), again.predict(image, confidence=0.2)
    assert a.masks == b.masks and np.array_equal(a.scores, b.scores)
    assert load("center_offset", weights=str(path)).name == "center_offset"
    assert repr(again).startswith("Model(center_offset: cell; ")


def test_bare_weights_need_a_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("center_offset")
    path = tmp_path / "bare.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(CheckpointError, match="say which model"):
        load(weights=path)
    assert load("center_offset", weights=path, device="cpu").classes == model.classes


def test_torchvisions_weights_find_their_places(tmp_path: Path) -> None:
    peer = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    path = tmp_path / "published.pth"
    torch.save(peer.state_dict(), path)
    model = load("fasterrcnn_resnet50_fpn", weights=path, device="cpu")
    last = peer.roi_heads.box_predictor.cls_score.weight
    assert any(t.shape == last.shape and torch.equal(t, last) for t in model.segmenter.state_dict().values())
    assert len(model.classes) == 80


def test_a_file_in_place_of_a_name(small: Model, tmp_path: Path) -> None:
    path = small.save(tmp_path / "mine.safetensors")
    for given in (path, str(path)):
        assert load(given, device="cpu").classes == small.classes
    with pytest.raises(CheckpointError, match=r"none\.safetensors: expected a weights file"):
        load(str(tmp_path / "none.safetensors"))


def test_what_cannot_be_loaded_is_told(small: Model, tmp_path: Path) -> None:
    for name in ("nuclej", "", "../nuclei"):
        if name:
            with pytest.raises(InputError, match="expected a name of the zoo"):
                load(name)
    with pytest.raises(DelineateError, match="without any"):
        load("mask_rcnn")
    with pytest.raises(CheckpointError, match="expected a weights file"):
        load(weights=tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="device: expected cpu"):
        load(weights=small.save(tmp_path / "a.safetensors"), device="warp")
    with pytest.raises(InputError, match="weights: expected a path"):
        load(weights=small.segmenter.state_dict())  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):
        load("fasterrcnn_resnet50_fpn", weights=small.save(tmp_path / "b.safetensors"), device="cpu")


def test_malformed_weights_are_refused_in_one_line(bad_inputs: Path) -> None:
    files = [p for p in sorted((bad_inputs / "models").glob("*")) if p.is_file()]
    assert files
    for path in files:
        with pytest.raises(DelineateError) as error:
            load(weights=path, device="cpu")
        assert "\n" not in str(error.value), path


def test_what_is_no_name_and_no_file_is_told(tmp_path: Path) -> None:
    for given in (tmp_path / "mine", 7):
        with pytest.raises(InputError, match=r"load\(weights=\.\.\.\)"):
            load(given)  # type: ignore[arg-type]
