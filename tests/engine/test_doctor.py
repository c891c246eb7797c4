"""What the doctor says: lines, JSON, exit codes, and settings that a training takes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from delineate.data.check import Checkup, Finding, check
from delineate.data.check.classes import Counted
from delineate.data.check.survey import Examined
from delineate.engine.config import read_recipe
from delineate.engine.doctor import as_json, exit_code, lines
from delineate.engine.doctor_settings import suggest
from delineate.engine.family_settings import family_settings


def checkup(
    findings: Sequence[Finding] = (),
    images: int = 3,
    objects: int = 5,
    side: float = 40,
    size: tuple[int, int] = (480, 640),
    classes: int = 1,
    splits: tuple[str, ...] = ("train", "val"),
    masks: bool = True,
) -> Checkup:
    labels = np.zeros(objects, np.int64)
    areas = np.full(objects, side**2)
    sides = np.full((objects, 2), side, np.float32)
    one = Examined((), size, None, labels, areas, sides)
    counted = [Counted(f"class {k}", dict.fromkeys(splits, objects), images, side) for k in range(classes)]
    shares = dict.fromkeys(splits, images)
    return Checkup("my data", "COCO", shares, counted, tuple(findings), (one,) * images, masks, ())


@pytest.mark.parametrize(
    ("findings", "failed", "plain", "strict"),
    [
        ([], "", 0, 0),
        ([Finding("rare", "a")], "", 0, 1),
        ([Finding("leak", "a")], "", 1, 1),
        ([], "no dataset", 2, 2),
    ],
)
def test_exit_codes(findings: list[Finding], failed: str, plain: int, strict: int) -> None:
    found = checkup(findings)
    object.__setattr__(found, "failed", failed)
    assert (exit_code(found, False), exit_code(found, True)) == (plain, strict)


@pytest.mark.parametrize(
    ("options", "model", "key"),
    [
        ({}, "yolo_seg_n", "augment.crop"),
        ({"objects": 60, "side": 20}, "center_offset", "augment.rotate90"),
        ({"masks": False}, "faster_rcnn", ""),
        ({"masks": False, "side": 6}, "faster_rcnn", "model.settings.anchor_sizes"),
        ({"side": 8, "size": (2000, 3000)}, "yolo_seg_n", "model.settings.image_size"),
        ({"objects": 400, "classes": 9}, "yolo_seg_n", "model.settings.limits.max_det"),
        ({"side": 200, "size": (300, 400)}, "yolo_seg_n", "model.settings.image_size"),
        ({"size": (40, 40), "objects": 30, "side": 4}, "center_offset", "augment.crop"),
    ],
)
def test_suggested_settings_are_a_recipe(options: dict[str, object], model: str, key: str) -> None:
    found = suggest(checkup(**options))  # type: ignore[arg-type]
    assert found is not None and found.model == model
    assert not key or key in found.settings
    changes = [f"{name}={value}" for name, value in found.settings.items()]
    recipe = read_recipe(None, [*family_settings(model), ("model.name", model), *changes])
    assert recipe.model.name == model


def test_commands_can_be_typed() -> None:
    found = suggest(checkup(splits=("",)))
    assert found is not None
    words = [shlex.split(command) for command in found.commands]
    assert words[0][:3] == ["delineate", "split", "my data"]
    assert words[1][:4] == ["delineate", "train", "--data", words[0][-1]]


def test_what_stops_a_training_is_mended_first() -> None:
    found = suggest(checkup([Finding("invalid", "a NaN", "a.png")], splits=("",)))
    assert found is not None
    assert [shlex.split(command)[1:3] for command in found.commands] == [
        ["doctor", "my data"],
        ["split", "my data_mended"],
        ["train", "--data"],
    ]
    assert shlex.split(found.commands[-1])[3] == "my data_mended_split"


def test_built_models_take_the_settings() -> None:
    from delineate.models.zoo import build

    found = suggest(checkup(objects=400, classes=9))
    assert found is not None
    recipe = read_recipe(None, [f"{name}={value}" for name, value in found.settings.items()])
    model = build(found.model, **recipe.model.settings)
    assert model.limits.max_det == 600  # type: ignore[attr-defined]


def test_nothing_to_suggest() -> None:
    assert suggest(checkup(objects=0)) is None
    assert suggest(checkup(images=0)) is None


def test_lines_are_one_line_each() -> None:
    many = [Finding("leak", f"case {k}", f"{k}.png", "val") for k in range(9)]
    told = list(lines(checkup([*many, Finding("rare", "one\nname")]), None))
    assert sum("case" in line for line in told) == 5 and "    and 4 more (--all)" in told
    assert told[-1] == "9 faults (leak); advice: rare"
    assert sum("case" in line for line in lines(checkup(many), None, shown=None)) == 9


def test_json_has_everything() -> None:
    many = [Finding("leak", f"case {k}", f"{k}.png", "val", images=(("train", "a.png"),)) for k in range(9)]
    found = checkup(many, objects=0)
    plain = json.loads(json.dumps(as_json(found, suggest(found), 1), allow_nan=False))
    assert plain["findings"][0]["other_images"] == ["train/a.png"]
    assert len(plain["findings"]) == 9 and plain["counts"] == {"leak": 9} and plain["suggested"] is None


def test_real_data(data_dir: Path) -> None:
    """Two images of this subset are in both splits, and COCO's own outlines are not without faults."""
    found = check(data_dir / "coco_subset")
    assert sorted(one.image for one in found.of("leak")) == ["000000184321.jpg", "000000397133.jpg"]
    assert found.faults <= 8 and not found.of("invalid") and not found.of("image-size")
    cells = check(data_dir / "dsb2018", pixels=False)
    assert cells.faults == 0 and cells.objects == 24_959
