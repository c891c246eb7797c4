from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from delineate.core.errors import CheckpointError, InputError
from delineate.engine.checkpoint import load
from delineate.engine.config import parse_recipe
from delineate.engine.record import Log, read_table
from delineate.engine.train import TrainingError, train

sys.path.insert(0, str(Path(__file__).parent))
import tiny_training as tiny

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error::UserWarning:delineate"}


def weights(folder: Path, name: str = "last.safetensors") -> dict[str, torch.Tensor]:
    return load(folder / name).weights


def assert_same(left: Path, right: Path) -> None:
    """The averages, the moving weights and the optimiser's moments, to the bit."""
    states = [torch.load(f / "last.state.pt", weights_only=True) for f in (left, right)]
    for part in ("model", "average"):
        assert states[0][part].keys() == states[1][part].keys()
        for name, tensor in states[0][part].items():
            assert torch.equal(tensor, states[1][part][name]), name
    for index, moments in states[0]["optimizer"]["state"].items():
        for name, tensor in moments.items():
            assert torch.equal(tensor, states[1]["optimizer"]["state"][index][name]), (index, name)
    for name, tensor in weights(left).items():
        assert torch.equal(tensor, weights(right)[name])


@pytest.fixture(autouse=True)
def no_pictures(straight: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first training draws its curves; the others save the time."""
    monkeypatch.setattr("delineate.engine.train.draw_curves", lambda folder: folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    tiny.start(tiny.recipe(), str(folder))
    return folder


def test_what_a_training_leaves(straight: Path) -> None:
    names = {p.name for p in straight.iterdir()}
    assert {"best.safetensors", "last.safetensors", "last.state.pt", "steps.csv", "scores.csv"} <= names
    assert {"curves.png", "recipe.json", "tensorboard"} <= names
    steps = read_table(straight / "steps.csv")
    assert [r["step"] for r in steps] == [1, 2, 3, 4, 5, 6]
    assert {"epoch", "seconds", "lr", "images_per_second", "loss", "loss_pixels", "loss_mark"} <= set(
        steps[-1]
    )
    assert [r["accuracy"] > 0 for r in read_table(straight / "scores.csv")] == [True, True]
    header = load(straight / "best.safetensors").header
    assert header is not None and header.family == "tiny" and header.classes == tiny.CLASSES
    assert header.record["recipe"]["train"]["lr"] == 0.01 and header.record["step"] in (3, 6)


@pytest.mark.parametrize("minutes", [10.0, 0.0])
def test_stop_and_resume_is_the_same_to_the_bit(straight: Path, tmp_path: Path, minutes: float) -> None:
    """Stop after the first epoch, or within the second, as a training does that is sent SIGTERM."""
    calls = 3 if minutes else 4
    values = tiny.recipe(checkpoint_minutes=minutes)

    class Stopping(tiny.Squares):
        reads = 0

        def __getitem__(self, index: int):
            Stopping.reads += 1
            if Stopping.reads == 4 * calls:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(index)

    arguments = {"device": "cpu", "score": tiny.score, "quiet": True}
    values["augment"] = tiny.recipe()["augment"] | {"copy_paste": 0.0}
    whole = tmp_path / "whole"
    train(values, whole, sources=(tiny.Squares(), tiny.Squares(4)), **arguments)
    broken = tmp_path / "broken"
    result = train(values, broken, sources=(Stopping(), tiny.Squares(4)), **arguments)
    assert (result.step, result.reason) == (calls, "interrupted")
    result = train(values, broken, resume=True, sources=(tiny.Squares(), tiny.Squares(4)), **arguments)
    assert (result.step, result.reason) == (6, "done")
    assert_same(whole, broken)
    assert [r["step"] for r in read_table(broken / "steps.csv")] == [1, 2, 3, 4, 5, 6]


def test_killed_at_any_moment_and_resumed(straight: Path, tmp_path: Path) -> None:
    values = tiny.recipe(checkpoint_minutes=0.0)
    command = [sys.executable, tiny.__file__, json.dumps(values), str(tmp_path)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while (
        len(read_table(tmp_path / "steps.csv")) < 3 and time.monotonic() < deadline and process.poll() is None
    ):
        time.sleep(0.001)
    process.kill()
    process.wait(timeout=60)
    assert read_table(tmp_path / "steps.csv"), "nothing was trained in two minutes"
    tiny.start(values, str(tmp_path), resume=True)
    assert_same(straight, tmp_path)
    assert [r["step"] for r in read_table(tmp_path / "steps.csv")] == [1, 2, 3, 4, 5, 6]
    assert not list(tmp_path.glob("*.part.*"))


def test_workers_change_nothing(straight: Path, tmp_path: Path) -> None:
    tiny.start(tiny.recipe(workers=1), str(tmp_path))
    assert_same(straight, tmp_path)


def test_resuming_a_finished_training_changes_nothing(tmp_path: Path) -> None:
    tiny.start(tiny.recipe(steps=2), str(tmp_path))
    before = (tmp_path / "last.safetensors").read_bytes()
    assert tiny.start(tiny.recipe(steps=2), str(tmp_path), resume=True).step == 2
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_images_without_objects(tmp_path: Path) -> None:
    result = tiny.start(tiny.recipe(), str(tmp_path), blank=True)
    assert result.step == 6 and all("loss_mark" not in r for r in read_table(tmp_path / "steps.csv"))


def test_it_learns(tmp_path: Path) -> None:
    tiny.start(tiny.recipe(steps=60, lr=0.05, evaluate_every=0), str(tmp_path))
    losses = [r["loss_pixels"] for r in read_table(tmp_path / "steps.csv")]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_early_stop(tmp_path: Path) -> None:
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.9])
    result = train(
        tiny.recipe(epochs=9, early_stop=2), tmp_path, sources=(tiny.Squares(), tiny.Squares(2)), quiet=True,
        device="cpu", score=lambda *_: {"accuracy": next(scores)},
    )  # fmt: skip
    assert (result.step, result.best) == (12, 0.7) and "no better score in 2 evaluations" in result.reason
    header = load(tmp_path / "best.safetensors").header
    assert header is not None and header.record["step"] == 6


def test_a_budget_of_time(tmp_path: Path) -> None:
    started = time.monotonic()
    result = tiny.start(tiny.recipe(epochs=10**6, max_minutes=0.02, evaluate_every=0), str(tmp_path))
    assert "0.02 minutes are up" in result.reason and time.monotonic() - started < 60
    rates = [r["lr"] for r in read_table(tmp_path / "steps.csv")]
    assert rates[-1] < 0.2 * max(rates)  # the schedule came to its end although 10^6 epochs were asked for


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_optimisers_resume(tmp_path: Path, optimizer: str) -> None:
    values = tiny.recipe(optimizer=optimizer, ema=0.0)
    tiny.start(values, str(tmp_path / "a"))
    tiny.start({**values, "train": {**values["train"], "epochs": 1}}, str(tmp_path / "b"))
    with pytest.raises(InputError, match="expected an empty folder, got a training"):
        tiny.start(values, str(tmp_path / "b"))
    result = tiny.start(values, str(tmp_path / "b"), resume=True)
    assert result.step == 6
    state = torch.load(tmp_path / "a" / "last.state.pt", weights_only=True)
    assert all(torch.equal(state["model"][n], state["average"][n]) for n in state["model"])  # ema = 0


def test_bf16(tmp_path: Path) -> None:
    assert tiny.start(tiny.recipe(amp="bf16", steps=2), str(tmp_path)).step == 2


def test_fp16_needs_cuda(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.amp: expected .* on the CPU"):
        tiny.start(tiny.recipe(amp="fp16"), str(tmp_path))


def test_a_loss_that_is_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.Tiny, "losses", lambda self, _: {"pixels": self.outer.bias.sum() * float("nan")})
    with pytest.raises(TrainingError, match="step 0: expected a finite loss, got nan"):
        tiny.start(tiny.recipe(), str(tmp_path))


def test_gradients_that_are_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.Tiny, "losses", lambda self, _: {"pixels": (self.outer.bias * 0).sqrt().sum()})
    with pytest.raises(TrainingError, match="step 0: expected finite gradients, got nan"):
        tiny.start(tiny.recipe(), str(tmp_path))
    assert not (tmp_path / "last.state.pt").exists()


def test_a_score_that_is_not_a_number_is_never_the_best(tmp_path: Path) -> None:
    scores = iter([float("nan"), 0.2])
    result = train(
        tiny.recipe(), tmp_path, sources=(tiny.Squares(), tiny.Squares(2)), quiet=True, device="cpu",
        score=lambda *_: {"accuracy": next(scores)},
    )  # fmt: skip
    assert result.best == 0.2


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"balance": "modality"},
            "train.balance: expected a column of the dataset, got 'modality'; it has kind",
        ),
        ({"metric": "AP"}, "train.metric: expected one of accuracy, got 'AP'"),
    ],
)
def test_recipes_that_do_not_fit(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny.start(tiny.recipe(**change), str(tmp_path))


def test_balance(tmp_path: Path) -> None:
    assert tiny.start(tiny.recipe(balance="kind", steps=2), str(tmp_path)).step == 2


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a training to go on with, got no such file"):
        tiny.start(tiny.recipe(), str(tmp_path), resume=True)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_state(straight: Path, tmp_path: Path, damage: str) -> None:
    content = (straight / "last.state.pt").read_bytes()
    if damage == "cut":
        (tmp_path / "last.state.pt").write_bytes(content[: len(content) // 2])
    else:
        torch.save({"format": 1, "model": {}}, tmp_path / "last.state.pt")
    with pytest.raises(CheckpointError, match=r"last\.state\.pt: expected"):
        tiny.start(tiny.recipe(), str(tmp_path), resume=True)


def test_starting_from_other_weights(straight: Path, tmp_path: Path) -> None:
    values = tiny.recipe(steps=1, lr=1e-9, ema=0.0, evaluate_every=0)
    values["model"]["weights"] = str(straight / "best.safetensors")
    tiny.start(values, str(tmp_path))
    for name, tensor in weights(straight, "best.safetensors").items():
        torch.testing.assert_close(weights(tmp_path)[name], tensor, atol=1e-6, rtol=0)


def test_without_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from delineate.engine import record
    from delineate.engine import train as engine

    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg", "torch.utils.tensorboard.writer"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(engine, "draw_curves", record.draw_curves)
    values = tiny.recipe(steps=1, evaluate_every=0)
    train(values, tmp_path, device="cpu", sources=(tiny.Squares(), None))
    told = capsys.readouterr().err
    assert "TensorBoard is not installed: logging to CSV only; pip install 'delineate[train]'" in told
    assert "curves.png: expected matplotlib, got none; pip install 'delineate[train]'" in told
    assert (tmp_path / "steps.csv").is_file() and not (tmp_path / "tensorboard").exists()


def test_the_record_tells_no_paths(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {"data": {"path": "/home/someone/cells"}, "model": {"weights": "/home/someone/w.pt"}}
    )
    record = recipe.to_record()
    assert (record["data"]["path"], record["model"]["weights"]) == ("cells", "w.pt")
    assert parse_recipe(recipe.to_dict()) == recipe


def test_the_log_widens_and_forgets(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add("steps", {"step": 1, "loss": 1.0})
    log.add("steps", {"step": 2, "loss": 0.5, "loss_new": float("nan")})
    log.add("steps", {"step": 3, "loss": 0.25})
    log.close()
    with (tmp_path / "steps.csv").open("a") as file:
        file.write("4,")  # a kill in the midst of a row
    with (tmp_path / "steps.csv").open() as file:
        assert next(csv.reader(file)) == ["step", "loss", "loss_new"]
    Log(tmp_path, step=2).close()
    assert [r["loss"] for r in read_table(tmp_path / "steps.csv")] == [1.0, 0.5]


class Halves(tiny.Tiny):
    """The first convolution stands for a backbone."""

    @property
    def backbone(self) -> torch.nn.Module:
        return self.inner


@pytest.mark.parametrize("part", [0.1, 0.0])
def test_the_backbone_learns_at_its_part_of_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: float
) -> None:
    monkeypatch.setattr(tiny, "Tiny", Halves)
    values = tiny.recipe(backbone_lr=part, steps=3, schedule="constant", warmup_steps=2)
    tiny.start(values, str(tmp_path))
    state = torch.load(tmp_path / "last.state.pt", weights_only=True)
    rates = {group.get("part", 1.0): group["lr"] for group in state["optimizer"]["param_groups"]}
    assert rates == {1.0: 0.01, part: pytest.approx(0.01 * part)}
    torch.manual_seed(values["train"]["seed"])
    before = Halves(0.1).state_dict()
    moved = {name for name, weight in state["model"].items() if not torch.equal(weight, before[name])}
    assert {"outer.weight", "outer.bias"} <= moved
    assert ("inner.weight" in moved) == (part > 0)
    assert {row["lr"] for row in read_table(tmp_path / "steps.csv")} == {0.005, 0.01}
