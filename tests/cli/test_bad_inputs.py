"""Every malformed file through every command: a right result or one clear line, never a fault."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer.main
from PIL import Image

import delineate as dl
from delineate import cli
from delineate.core.errors import CheckpointError, DelineateError
from delineate.data.images import read
from delineate.engine.load import Model, load
from delineate.models.zoo import build

pytestmark = pytest.mark.timeout(60)

PAYLOAD = Path("/tmp/seg_bad_input_executed")
GROWTH = 2e9  # bytes
FOLDERS = {
    "archives", "coco", "config", "cvat", "images", "labelme", "masks", "models", "rle", "server", "video",
    "voc", "yolo", "zarr",
}  # fmt: skip

# What `predict` finds readable beyond the files whose expectation says so, and why.
PREDICTED = {
    "images/animated.gif": "its first frame",
    "images/animated_apng.png": "its first frame",
    "images/corrupt_middle.jpg": "marked as suspect",
    "images/exif_orientation_3.jpg": "turned upright",
    "images/exif_orientation_6.jpg": "turned upright",
    "images/exif_orientation_8.jpg": "turned upright",
    "images/gray12_in_16.png": "scaled by percentiles",
    "images/int32_negative.tif": "as float32",
    "images/lab.tif": "as RGB",
    "images/polyglot_html.png": "a whole PNG file",
}
# COCO files that are read as truth; all others are refused.
TRUTH = {
    "area_missing", "bbox_disagrees_with_mask", "bbox_xyxy_instead_of_xywh", "category_name_csv_formula",
    "category_name_newline_comma", "category_name_xss", "id_zero_annotation", "no_annotations_empty_list",
    "polygon_clockwise_hole", "polygon_huge_1e7", "polygon_outside_image",
    "polygon_self_intersecting_bowtie", "polygon_zero_area_line", "utf8_bom", "width_height_missing",
    "duplicate_category_names",
}  # fmt: skip
# As predictions those are read too whose fault lies where predictions are not looked at.
PREDICTIONS = TRUTH | {
    "absolute_file_name", "bbox_zero_area", "categories_key_missing", "category_name_empty",
    "duplicate_annotation_ids", "id_bool", "id_negative", "image_file_missing_on_disk", "iscrowd_string",
    "null_byte_file_name", "path_traversal_file_name", "polygon_repeated_point", "segmentation_null",
    "url_file_name_metadata", "windows_path_file_name",
}  # fmt: skip
MASKS = {"all_background", "id_reused_disconnected", "ids_above_65535", "palette_index_mask", "valid_control"}
POLYGONS = {"40_poly_outside_huge", "41_poly_outside_1e6", "44_poly_self_intersecting",
            "45_poly_outside_negative"}  # fmt: skip


class Entry(NamedTuple):
    """A line of the manifest."""

    name: str
    kind: str
    expected: str

    @property
    def stem(self) -> str:
        return Path(self.name).stem


class Result(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def manifest(bad_inputs: Path) -> list[Entry]:
    with (bad_inputs / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        entries = [Entry(row["file"], row["kind"], row["expected"]) for row in csv.DictReader(lines)]
    assert {Path(e.name).parts[0] for e in entries} == FOLDERS
    return entries


@pytest.fixture(scope="module", autouse=True)
def nothing_runs_and_nothing_swells() -> Iterator[None]:
    existed, before = PAYLOAD.exists(), _peak()
    yield
    assert PAYLOAD.exists() == existed, "a payload was executed"
    assert _peak() - before < GROWTH


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@cache
def small_model() -> Model:
    return Model(build("center_offset", channels=(8, 8)), "small")


@cache
def commands() -> Any:
    """Built once: typer does so at each call, which takes longer than most of what is called here."""
    return typer.main.get_command(cli.app)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The command line in this process, with a small model loaded once; weights that are given are read."""

    def from_cache(name: Any = None, weights: Any = None, device: Any = None) -> Model:
        return small_model() if weights is None else load(name, weights, device)

    monkeypatch.setattr("delineate.engine.load.load", from_cache)
    monkeypatch.setattr(cli, "app", commands())
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> Result:
        code = cli.main([str(a) for a in arguments])
        return Result(code, *capfd.readouterr())

    return command


@pytest.fixture
def good(bad_inputs: Path, tmp_path: Path) -> Path:
    """A well-formed dataset of one image, with the name and size that the COCO files speak of."""
    folder = tmp_path / "good"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    shutil.copy(bad_inputs / "images" / "valid_control.jpg", folder / "images")
    labels = np.zeros((192, 256), np.uint16)
    labels[10:30, 10:30] = 1
    Image.fromarray(labels).save(folder / "labels" / "valid_control.png")
    return folder


def check(result: Result, name: str, right: bool) -> None:
    """Silence and 0, or 2 and one line that names the file."""
    told = f"{name}: {result}"
    assert result.out == "", told
    if right:
        assert (result.code, result.err) == (0, ""), told
        return
    assert result.code == 2, told
    assert result.err.startswith("error: ") and result.err.count("\n") == 1, told
    assert Path(name).name in result.err, told
    assert "expected" in result.err or "unknown key" in result.err, told
    assert "fault of delineate" not in result.err, told
    assert len(result.err) < 600, told


def read_correctly(entry: Entry) -> bool:
    return entry.expected.startswith("read correctly")


def test_predict(manifest: list[Entry], bad_inputs: Path, run: Run, tmp_path: Path) -> None:
    for entry in manifest:
        right = entry.kind == "image" and read_correctly(entry)
        right = right or entry.name in PREDICTED or entry.kind == "mask"  # a mask is a picture too
        out = tmp_path / "out"
        result = run("predict", bad_inputs / entry.name, "--out", out, "--quiet")
        if entry.kind == "video" and out.exists():  # what could be read is drawn; a lost frame is told
            assert (result.code, result.err.count("\n")) == ((0, 0) if read_correctly(entry) else (1, 1))
            assert list(out.glob("*.overlay.mp4")) and list(out.glob("*.frames.json"))
            shutil.rmtree(out)
            continue
        check(result, entry.name, right)
        assert out.exists() == right
        if right:
            pixels = read(bad_inputs / entry.name).pixels
            (picture,) = out.glob("*.overlay.png")
            assert read(picture).pixels.shape[:2] == pixels.shape[:2]
            shutil.rmtree(out)


def test_predict_goes_on_after_each_bad_image(
    manifest: list[Entry], bad_inputs: Path, run: Run, tmp_path: Path
) -> None:
    images = [e for e in manifest if e.kind == "image"]
    files = [bad_inputs / e.name for e in images]
    result = run("predict", *files, "--out", tmp_path / "out", "--save", "coco", "--quiet")
    bad = {f.name for e, f in zip(images, files, strict=True) if not read_correctly(e)}
    bad -= {Path(name).name for name in PREDICTED}
    assert result.code == 1
    assert len(result.err.splitlines()) == len(bad)
    assert all(any(name in line for line in result.err.splitlines()) for name in bad)
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {i["file_name"] for i in found["images"]} == {f.name for f in files} - bad


def test_evaluate_against_each_file(manifest: list[Entry], bad_inputs: Path, run: Run) -> None:
    for entry in manifest:
        right = entry.kind == "coco" and entry.stem in TRUTH
        images = ["--images", bad_inputs / "images"] if entry.kind == "coco" else []
        arguments = ["--data", bad_inputs / entry.name, *images, "--metrics", "coco", "--quiet"]
        if entry.stem == "duplicate_category_names":  # two classes: which is the model's?
            arguments = [*arguments[:4], "--predictions", bad_inputs / "coco" / "utf8_bom.json", "--quiet"]
        else:
            arguments += ["--model", "nuclei"]
        check(run("evaluate", *arguments), entry.name, right)


def test_evaluate_each_file_as_predictions(
    manifest: list[Entry], bad_inputs: Path, run: Run, good: Path
) -> None:
    for entry in manifest:
        right = entry.kind == "coco" and entry.stem in PREDICTIONS
        file = bad_inputs / entry.name
        result = run("evaluate", "--predictions", file, "--data", good, "--quiet")
        check(result, entry.name, right)


def test_evaluate_label_images(
    manifest: list[Entry], bad_inputs: Path, run: Run, good: Path, tmp_path: Path
) -> None:
    """Each label image as the truth, and as the prediction."""
    for entry in (e for e in manifest if e.kind == "mask"):
        data, predictions = tmp_path / entry.stem, tmp_path / f"{entry.stem}-predictions"
        shutil.copytree(good / "images", data / "images")
        for folder in (data / "labels", predictions):
            folder.mkdir()
            shutil.copy(bad_inputs / entry.name, folder / f"valid_control{Path(entry.name).suffix}")
        right = entry.stem in MASKS
        assert right or not read_correctly(entry)
        check(run("evaluate", "--model", "nuclei", "--data", data, "--quiet"), data.name, right)
        result = run("evaluate", "--predictions", predictions, "--data", good, "--quiet")
        check(result, "valid_control" if not right else predictions.name, right)


def test_evaluate_run_lengths_and_polygons(
    manifest: list[Entry], bad_inputs: Path, run: Run, tmp_path: Path
) -> None:
    """Each encoding as an annotation of the truth, and as a result."""
    for entry in (e for e in manifest if Path(e.name).parts[0] == "rle"):
        text = (bad_inputs / entry.name).read_text()
        height, width = _size(text)
        row = f'{{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": {text}}}'
        image = {"id": 1, "file_name": f"{entry.stem}.png", "width": width, "height": height}
        head = f'{{"images": [{json.dumps(image)}], "categories": [{{"id": 1, "name": "a"}}]'
        truth, results = tmp_path / f"{entry.stem}.truth.json", tmp_path / f"{entry.stem}.results.json"
        empty = tmp_path / "empty.json"
        Image.fromarray(np.zeros((height, width), np.uint8)).save(tmp_path / image["file_name"])
        truth.write_text(f'{head}, "annotations": [{row}]}}')
        empty.write_text(f'{head}, "annotations": []}}')
        results.write_text(f"[{row.replace('iscrowd', 'score')}]")
        right = read_correctly(entry) or entry.stem in POLYGONS
        check(run("evaluate", "--model", "nuclei", "--data", truth, "--quiet"), truth.name, right)
        result = run("evaluate", "--predictions", results, "--data", empty, "--quiet")
        check(result, results.name, right)


def _size(text: str) -> tuple[int, int]:
    """The encoding's own size where an image can have it."""
    encoding = json.loads(text)
    size = encoding.get("size") if isinstance(encoding, dict) else None
    usual = isinstance(size, list) and len(size) == 2 and all(type(v) is int and 0 < v < 5000 for v in size)
    return tuple(size) if usual else (64, 64)  # type: ignore[return-value]


def test_load(manifest: list[Entry], bad_inputs: Path, run: Run, good: Path) -> None:
    image = good / "images" / "valid_control.jpg"
    for entry in manifest:
        path = bad_inputs / entry.name
        with pytest.raises(CheckpointError, match="expected") as caught:
            dl.load(weights=path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        check(run("predict", image, "--weights", path, "--quiet"), entry.name, right=False)
    control = bad_inputs / "models" / "safetensors_valid_control.safetensors"  # right, but of no model here
    with pytest.raises(CheckpointError, match="bare weights; say which model"):
        dl.load(weights=control)
    with pytest.raises(CheckpointError, match="made for another model"):
        dl.load("center_offset", weights=control)


def test_train(manifest: list[Entry], bad_inputs: Path, run: Run, tmp_path: Path) -> None:
    """Each file as a recipe, and as a dataset: none of them is a recipe, none has the splits asked for."""
    for entry in manifest:
        path, folder = bad_inputs / entry.name, tmp_path / "run"
        check(run("train", path, "--out", folder, "--quiet"), entry.name, right=False)
        result = run("train", "--data", path, "--model", "center_offset", "--out", folder, "--quiet")
        check(result, entry.name, right=False)
        assert not (folder / "last.safetensors").exists()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("_target_ = 'os.system'\ncommand = 'touch /tmp/seg_bad_input_executed'", "unknown key '_target_'"),
        ("[train]\nbatch_size = -4", "train.batch_size: expected 1 to 65536, got -4"),
        ("[train]\nleraning_rate = 1", "did you mean 'lr'?"),
        ("[train]\n\t- b", "line 2, column"),
        (f"[train]\nlr = {'9' * 400}", "train.lr: expected float, got a huge number"),
        (f"[train]\nlr = {'9' * 5000}", "expected a TOML recipe"),
        (f"[train]\nlr = 0x{'f' * 5000}", "train.lr: expected float, got a huge number"),
        (f"[augment]\nscale = [1, {'9' * 400}]", "augment.scale: expected a list of numbers"),
        ("a = " + "[" * 100_000, "expected a TOML recipe"),
        ("", "data.path: expected a dataset, got none"),
    ],
)
def test_recipes(toml: str, message: str, run: Run, tmp_path: Path) -> None:
    """What the YAML files of ``config/`` try, written as TOML; and numbers that no float holds."""
    path = tmp_path / "recipe.toml"
    path.write_text(toml)
    result = run("train", path, "--quiet")
    check(result, path.name, right=False)
    assert message in result.err


def test_errors_of_the_library_are_its_own(manifest: list[Entry], bad_inputs: Path) -> None:
    """The readers raise nothing but :class:`DelineateError`, whatever they are given."""
    for entry in manifest:
        for reader in (dl.read, dl.open_dataset, small_model().predict):
            try:
                reader(bad_inputs / entry.name)  # type: ignore[operator]
            except DelineateError as error:
                assert "\n" not in str(error)


def test_paths_of_any_characters_reach_training(run: Run, tmp_path: Path) -> None:
    for name in ("é中文 🔬", 'quote"\\', "del\x7f", "byte\udcff"):
        result = run("train", "--data", tmp_path / name, "--model", "center_offset", "--quiet")
        assert result.code == 2 and "got nothing there" in result.err
        assert "🔬" not in name or name in result.err
