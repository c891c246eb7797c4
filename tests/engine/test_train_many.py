"""Two processes, and parts of a batch one after the other, train as one process does in one piece."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from delineate.core.errors import CheckpointError, InputError
from delineate.engine.checkpoint import load
from delineate.engine.record import read_table

sys.path.insert(0, str(Path(__file__).parent))
import family_training as families

KINDS = {"mask_rcnn": 1, "yolo_seg_n": 1, "maskdino": 1, "center_offset": 2}  # steps: seconds of the suite
SPLIT = {"optimizer": "adamw"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of model, trained by two processes; Mask DINO a second time, split over them."""
    folder = tmp_path_factory.mktemp("pair")
    jobs: list[dict] = [{"name": n, "out": n, "settings": {"steps": KINDS[n]}} for n in KINDS]
    jobs[-1]["settings"]["scored"] = True
    jobs.append({"name": "maskdino", "out": "split", "settings": {**SPLIT, "sharded": True, "steps": 1}})
    jobs.append({"name": "mask_rcnn", "out": "parts", "settings": {"steps": 1, "accumulate": 2}})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, families.__file__, str(folder), json.dumps(jobs)]
    done = subprocess.run(
        command, env={**os.environ, **place}, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


LAUNCHER = """
import sys
from pathlib import Path
from delineate.engine.launch import launch
command = [sys.executable, "-c", *sys.argv[2:]]
sys.exit(launch(command, 2, restarts=1, folder=Path(sys.argv[1]), say=print))
"""
# In the second step the second process is killed. Started again, the first one has the launcher asked to end
# there, and goes on when that has come back to it.
TROUBLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import family_training as families
from delineate.engine.launch import leashed, restarted
from delineate.engine.learner import Learner
from delineate.engine.train import INTERRUPTED, begun

leashed()
first, again, out = os.environ["RANK"] == "0", restarted(), Path(sys.argv[2])
learn = Learner.step

def step(self, batch, lr):
    if self.state.step == 1 and not first and not again:
        while not begun(out):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    if self.state.step == 1 and first and again:
        come, here = os.pipe()
        os.set_blocking(here, False)
        signal.set_wakeup_fd(here)
        os.kill(os.getppid(), signal.SIGTERM)
        os.read(come, 1)
    return learn(self, batch, lr)

Learner.step = step
result = families.start("center_offset", out, resume=again and begun(out), steps=3, checkpoint_minutes=0.0)
sys.exit(1 if result.reason == INTERRUPTED else 0)
"""


def test_after_a_kill_and_a_request_to_end_the_weights_are_those_of_a_quiet_run(
    pair: Path, tmp_path: Path
) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    words = [str(out), TROUBLED, str(Path(families.__file__).parent), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *words],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}, stdout=subprocess.PIPE, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert done.stdout == "process 1 was ended by SIGKILL; all start again, 1 more times at most\n"
    assert done.returncode == 1
    assert read_table(out / "steps.csv")[-1]["step"] == 2  # of three
    weights, quiet = (load(folder / "last.safetensors").weights for folder in (out, pair / "center_offset"))
    assert weights.keys() == quiet.keys() and all(torch.equal(weights[name], quiet[name]) for name in quiet)
    families.start("center_offset", out, resume=True, steps=3)  # the checkpoint is whole: one alone goes on
    families.start("center_offset", alone, steps=3)
    compare(alone, out, 3)


def compare(one: Path, two: Path, steps: int) -> None:
    alone, shared = read_table(one / "steps.csv"), read_table(two / "steps.csv")
    assert len(alone) == len(shared) == steps
    for a, b in zip(alone, shared, strict=True):
        assert a.keys() == b.keys()
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-6)
        assert b["gradient"] == pytest.approx(a["gradient"], rel=1e-4)
        for name in (n for n in a if n.startswith("loss")):
            assert b[name] == pytest.approx(a[name], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_two_processes_train_as_one_with_twice_the_images(pair: Path, tmp_path: Path, name: str) -> None:
    families.start(name, tmp_path, scored=name == "center_offset", steps=KINDS[name])
    compare(tmp_path, pair / name, KINDS[name])
    for a, b in zip(read_table(tmp_path / "scores.csv"), read_table(pair / name / "scores.csv"), strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, nan_ok=True, rel=1e-5)


def test_a_split_model_trains_as_a_whole_one_and_goes_on_alone(pair: Path, tmp_path: Path) -> None:
    families.start("maskdino", tmp_path, **SPLIT)
    shared = pair / "split"
    joined = load(shared / "last.safetensors").weights
    assert joined.keys() == load(tmp_path / "last.safetensors").weights.keys()
    assert not [p for p in shared.rglob("*") if p.suffix == ".pkl" or p.name == ".metadata"]
    # What two processes wrote in parts, one reads: the second step is that of the run in one piece.
    families.start("maskdino", shared, resume=True, **SPLIT, sharded=True)
    compare(tmp_path, shared, 2)


def test_what_is_left_of_a_split_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.state.json").write_text('{"format": 1, "step": 2, "updates": 2}')
    with pytest.raises(CheckpointError, match=r"last.state.json: expected the state of a split training"):
        families.start("center_offset", tmp_path, resume=True)
    with pytest.raises(InputError, match="expected an empty folder"):
        families.start("center_offset", tmp_path)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(pair: Path, tmp_path: Path) -> None:
    for folder, settings in {"parts": {}, "own": {"count_first": False}}.items():
        families.start("mask_rcnn", tmp_path / folder, steps=1, accumulate=4, **settings)
    shares = (pair / "mask_rcnn", tmp_path / "parts", pair / "parts", tmp_path / "own")
    one, parts, both, own = (read_table(folder / "steps.csv")[0] for folder in shares)
    for row in (parts, both):  # four parts; two parts of each of two processes
        assert row["loss"] == pytest.approx(one["loss"], rel=1e-6)
        assert row["gradient"] == pytest.approx(one["gradient"], rel=1e-5)
    assert abs(own["gradient"] / one["gradient"] - 1) > 1e-3  # each part divided by its own objects


def test_a_batch_that_parts_cannot_share(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train.batch_size: expected a multiple of 3"):
        families.start("center_offset", tmp_path, accumulate=3)


def test_what_cannot_be_split_is_told() -> None:
    from delineate.engine.config import Train

    with pytest.raises(InputError, match=r"train.optimizer: expected 'adamw' or 'sgd' with sharded"):
        Train(sharded=True, optimizer="muon")
    with pytest.raises(InputError, match=r"train.amp: expected 'off' or 'bf16' with sharded"):
        Train(sharded=True, amp="fp16")
