from __future__ import annotations

import json
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from delineate.core.batch import InputSpec
from delineate.core.errors import CheckpointError
from delineate.core.labels import Labels
from delineate.engine import atomic
from delineate.engine.checkpoint import FORMAT, KEY, Checkpoint, Header, fill, load, restore, save
from delineate.models.base import Segmenter
from delineate.models.zoo import build

PAYLOAD = Path("/tmp/seg_bad_input_executed")

EXPECTED = {
    "git_lfs_pointer.pt": "a Git LFS pointer, not the weights themselves; run `git lfs pull`",
    "numpy_object_pickle.npy": "expected a checkpoint, got a NumPy array",
    "onnx_external_data_traversal.onnx": "got an ONNX graph",
    "onnx_truncated.onnx": "got an ONNX graph",
    "pickle_os_system_raw.pkl": "expected a pickle of arrays in plain containers, got one with .*system",
    "pickle_os_system_torchzip.pt": "a pickle that would run code",
    "safetensors_header_len_2e63.safetensors": "a header of 9223372036854775808 bytes in a file of 89",
    "safetensors_offsets_overlap.safetensors": "tensors that overlap at 'b'",
    "safetensors_shape_mismatch.safetensors": r"shape \[1000000, 1000000\] of 'w' in 16 bytes",
    "safetensors_truncated.safetensors": "7 bytes of tensors where the header declares 16",
    "safetensors_zero_byte.safetensors": "an empty file",
    "state_dict_nan_weights.pt": "NaN or infinity in",
    "truncated.pt": "a damaged one",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_bad_files(bad_inputs: Path, name: str) -> None:
    before = PAYLOAD.exists()
    with pytest.raises(CheckpointError, match=EXPECTED[name]) as caught:
        load(bad_inputs / "models" / name)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(bad_inputs / "models" / name))
    assert PAYLOAD.exists() == before, "the file's payload was executed"


def test_every_bad_file_is_in_the_table(bad_inputs: Path) -> None:
    names = {p.name for p in (bad_inputs / "models").iterdir()}
    assert names == set(EXPECTED) | {"safetensors_valid_control.safetensors"}


def test_the_control(bad_inputs: Path) -> None:
    checkpoint = load(bad_inputs / "models" / "safetensors_valid_control.safetensors")
    assert checkpoint.header is None and checkpoint.weights["w"].shape == (2, 2)


class Small(Segmenter):
    family = "center_offset"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.classes = Labels(("a", "b"), ids=(3, 9), things=(True, False))
        self.input = InputSpec(shortest_edge=None, tile=512)
        self.settings = {"width": 4, "nested": {"x": [1, 2]}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save(tmp_path / "small.safetensors", Small(), record={"step": 7}, licence="CC0-1.0")


def test_round_trip(saved: Path) -> None:
    checkpoint = load(saved)
    model = Small()
    assert checkpoint.header == Header(
        "center_offset", model.settings, model.classes, model.input, "CC0-1.0", {"step": 7}
    )
    assert fill(model, checkpoint) == []
    for name, tensor in checkpoint.weights.items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert stat.S_IMODE(saved.stat().st_mode) & 0o444, "others may read it as they may other files"


def test_channels_last_weights(tmp_path: Path) -> None:
    model = Small().to(memory_format=torch.channels_last)
    save(tmp_path / "a.safetensors", model, record={})
    assert torch.equal(load(tmp_path / "a.safetensors").weights["layer.weight"], model.layer.weight)


def test_restore_builds_the_model(tmp_path: Path) -> None:
    model = build("center_offset", channels=(8, 8), classes=Labels(("cell", "dust")))
    save(tmp_path / "m.safetensors", model, record={})
    again = restore(tmp_path / "m.safetensors")
    assert again.classes == model.classes and again.input == model.input and again.settings == model.settings
    images = torch.randn(1, 3, 32, 32)
    for left, right in zip(model.eval()(images), again(images), strict=True):
        assert torch.equal(left, right)


def test_restore_needs_a_header(bad_inputs: Path) -> None:
    with pytest.raises(CheckpointError, match=r"bare weights; name the model"):
        restore(bad_inputs / "models" / "safetensors_valid_control.safetensors")


@pytest.mark.parametrize("kind", ["plain", "nested", "legacy"])
def test_pytorch_state_dicts(tmp_path: Path, kind: str) -> None:
    weights = {"a": torch.arange(4.0), "b": torch.zeros(2, 2)}
    content = {"state_dict": weights, "epoch": 3} if kind == "nested" else weights
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=kind != "legacy")
    checkpoint = load(tmp_path / "w.pth")
    assert checkpoint.header is None and torch.equal(checkpoint.weights["a"], weights["a"])


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, torch.zeros(2)])
def test_pytorch_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"save model\.state_dict"):
        load(tmp_path / "w.pt")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="expected a weights file, got"):
            load(path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model = Small()
    model.layer.weight.data[0, 0, 0, 0] = float("inf")
    with pytest.raises(CheckpointError, match=r"NaN or infinity in 'layer\.weight'"):
        save(tmp_path / "bad.safetensors", model, record={})
    assert not list(tmp_path.iterdir())


class Wider(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(5)


def test_fill_names_what_does_not_fit(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"unfilled: norm.weight.*made for another model"):
        fill(Wider(), load(saved))


def test_partial_fill_tells_what_stays_fresh(saved: Path) -> None:
    model, checkpoint = Wider(), load(saved)
    fresh = fill(model, checkpoint, partial=True)
    assert set(fresh) == {f"norm.{n}" for n in ("weight", "bias", "running_mean", "running_var")}
    assert torch.equal(model.layer.weight, checkpoint.weights["layer.weight"])
    with pytest.raises(CheckpointError, match="got none that fit"):
        fill(nn.Linear(1, 1), checkpoint, partial=True)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": FORMAT + 1}, "update delineate"),
        ({"classes": {"names": ["a"]}}, "another"),
        ({"classes": {"names": ["a"], "ids": [1, 1], "things": [True]}}, "another"),
        ({"input": 3}, "another"),
        ({"settings": "x"}, "another"),
    ],
)
def test_headers(saved: Path, tmp_path: Path, change: dict, message: str) -> None:
    checkpoint = load(saved)
    assert checkpoint.header is not None
    plain = json.loads(checkpoint.header.to_json()) | change
    path = tmp_path / "changed.safetensors"
    safetensors.torch.save_file(checkpoint.weights, path, metadata={KEY: json.dumps(plain)})
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_a_header_that_is_no_json(tmp_path: Path) -> None:
    for text in ("", "[]", "{", "[" * 100_000):
        safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={KEY: text})
        with pytest.raises(CheckpointError, match="delineate header"):
            load(tmp_path / "x.safetensors")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_an_error_or_harmless(saved: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed in the header, or the end cut off: told in one line, or no more weights than bytes."""
    content = bytearray(saved.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    content = content[
        : data.draw(st.sampled_from([len(content), len(content) - 1, header, header // 2, 9, 8, 1]))
    ]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    try:
        weights = load(path).weights
    except CheckpointError as error:
        assert str(error).startswith(str(path))
    else:
        assert sum(t.nbytes for t in weights.values()) <= len(content)


def test_pickles_of_other_things_are_refused(tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / "x.pt"
        path.write_bytes(pickle.dumps({"a": Path("x")}, protocol=protocol))
        with pytest.raises(CheckpointError):
            load(path)


def test_a_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(file: object) -> None:
        file.write(b"part")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        atomic.write_atomically(saved, full)
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    weights: dict[str, Tensor] = {
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "half": torch.ones(2).half(),
    }
    safetensors.torch.save_file(weights, tmp_path / "x.safetensors")
    checkpoint = load(tmp_path / "x.safetensors")
    assert isinstance(checkpoint, Checkpoint)
    assert {n: t.shape for n, t in checkpoint.weights.items()} == {n: t.shape for n, t in weights.items()}


def test_archives_that_torch_did_not_write(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    for entry, message in [("a/readme.txt", "another ZIP archive"), ("a/data.pkl", "a compressed archive")]:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(entry, bytes(10**6))
        with pytest.raises(CheckpointError, match=message):
            load(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="a damaged one"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("settings", {"channels": [10**7, 10**7]}),  # terabytes, if it were believed
        ("settings", {"channels": []}),
        ("settings", {"channels": [-1]}),
        ("settings", {"channels": "ab"}),
        ("settings", {"channels": [8, 8], "grouping": {"steps": "8"}}),
        ("settings", {"channels": [8, 8], "grouping": {"reach": 10**12}}),
        ("settings", {"unknown": 1}),
        ("family", "unheard_of"),
        ("format", float("inf")),
        ("input", {"divisor": 0}),
        ("input", {"tile": "1024"}),
        ("input", {"mean": [1, 2]}),
        ("input", {"std": [0, 1, 1]}),
    ],
)
def test_a_header_is_not_believed_unseen(tmp_path: Path, field: str, value: Any) -> None:
    path = save(tmp_path / "w.safetensors", build("center_offset", channels=(8, 8)), record={})
    weights = safetensors.torch.load_file(path)
    checkpoint = load(path)
    assert checkpoint.header is not None
    header = json.loads(checkpoint.header.to_json())
    header[field] = {**header[field], **value} if field == "input" else value
    safetensors.torch.save_file(weights, path, metadata={KEY: json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"w\.safetensors: expected") as caught:
        restore(path)
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)
