from __future__ import annotations

from pathlib import Path

import pytest

from delineate.core.errors import InputError
from delineate.engine.config import Recipe, parse_recipe, read_recipe


def test_the_defaults_are_a_recipe() -> None:
    assert parse_recipe({}) == Recipe()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "recipes").glob("*.toml")), ids=lambda p: p.name
)
def test_our_own_recipes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DELINEATE_DATA", "PANOPTIC_DATA", "CTC_HALVES", "STRAWBERRY", "RICE_LEAF"):
        monkeypatch.setenv(name, "somewhere")
    recipe = read_recipe(path)
    assert recipe.data.path.startswith(("somewhere", "synthetic:", "coco", "halves"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[train]\nleaning_rate = 1", r"train: unknown key 'leaning_rate'; did you mean 'lr'\?"),
        ("[train]\nlearning_rate = 1", r"did you mean 'lr'\?"),
        ("[train]\nbatchsize = 1", r"did you mean 'batch_size'\?"),
        ("[trian]\nlr = 1", r"unknown key 'trian'; did you mean 'train'\?"),
        ("[train]\nqqq = 1", "unknown key 'qqq'; it may be one of epochs"),
        ("[train]\nbatch_size = -4", "train.batch_size: expected 1 to 65536, got -4"),
        ("[train]\nbatch_size = 2.5", "train.batch_size: expected int, got 2.5"),
        ("[train]\nlr = 'fast'", "train.lr: expected float, got 'fast'"),
        ("[train]\nlr = nan", "train.lr: expected float, got nan"),
        ("[train]\nlr = true", "train.lr: expected float, got True"),
        ("[train]\noptimizer = 'adam'", "train.optimizer: expected one of adamw, sgd, muon, got 'adam'"),
        ("[train]\nschedule = 3", "train.schedule: expected str, got 3"),
        ("[data]\ncache = 1", "data.cache: expected bool, got 1"),
        ("[augment]\nscale = 2", "augment.scale: expected a list of numbers, got 2"),
        ("[augment]\nscale = [2, 1]", r"augment.scale: expected \[smallest, largest\]"),
        ("[augment]\ncrop = 1", "augment.crop: expected 16 to 8192, got 1"),
        ("[model]\nsettings = 3", "model.settings: expected a table, got 3"),
        ("train = 3", "train: expected a table of settings, got 3"),
        ("[train]\nlr = 1e-3\nlr = 2", "expected a TOML recipe, got an error"),
        ("[train\n", r"expected a TOML recipe, got an error: .*line 1"),
        ("[data]\npath = '${NOT_SET_ANYWHERE}/x'", "NOT_SET_ANYWHERE to be set; export NOT_SET_ANYWHERE="),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_numbers_as_text_and_whole_numbers_as_floats() -> None:
    train = parse_recipe({"train": {"lr": "1e-3", "clip_norm": 5, "epochs": 3.0}}).train
    assert (train.lr, train.clip_norm, train.epochs) == (1e-3, 5.0, 3) and isinstance(train.clip_norm, float)


def test_no_file_and_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "binary.toml"):
        with pytest.raises(InputError, match="expected a readable recipe"):
            read_recipe(path)


def test_bad_configurations(bad_inputs: Path) -> None:
    """They are YAML: told in one line, nothing in them is imported or called."""
    for path in sorted((bad_inputs / "config").iterdir()):
        with pytest.raises(InputError, match="expected a") as caught:
            read_recipe(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, field, value",
    [
        ("train.lr=1e-2", ("train", "lr"), 0.01),
        ("train.optimizer=sgd", ("train", "optimizer"), "sgd"),
        ("model.name='x y'", ("model", "name"), "x y"),
        ("augment.scale=[1.0, 1.5]", ("augment", "scale"), (1.0, 1.5)),
        ("augment.flip=false", ("augment", "flip"), False),
        ("model.settings.channels=[8, 16]", ("model", "settings"), {"channels": [8, 16]}),
    ],
)
def test_single_settings(change: str, field: tuple[str, str], value: object) -> None:
    recipe = read_recipe(None, [change])
    assert getattr(getattr(recipe, field[0]), field[1]) == value


@pytest.mark.parametrize("change", ["lr=1", "train.lr", "train.=1", "=", "train.lr.x=1"])
def test_settings_that_are_none(change: str) -> None:
    with pytest.raises(InputError, match="expected"):
        read_recipe(None, ["train.lr=1", change])
