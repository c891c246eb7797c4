"""Several processes on one machine (gloo), as `torchrun` starts them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from delineate.engine.record import read_table

sys.path.insert(0, str(Path(__file__).parent))
import tiny_training as tiny


def launch(world: int, values: dict, folder: Path, *words: str) -> None:
    """The processes; a hang ends in an error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(world):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        master = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, tiny.__file__, json.dumps(values), str(folder), *words]
        processes.append(
            subprocess.Popen(
                command, env={**os.environ, **place, **master}, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        errors = [p.communicate(timeout=120)[1] for p in processes]
    finally:
        for p in processes:
            p.kill()
            p.wait()
    assert [p.returncode for p in processes] == [0] * world, "\n".join(errors)


def plain(**settings) -> dict:
    """Nothing random; no Adam, which blows up digits; no clipping, through which ``mark`` acts on all."""
    values = tiny.recipe(optimizer="sgd", clip_norm=0.0, **settings)
    values["model"]["settings"] = {"dropout": 0.0}
    return values


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes, batches of two: one image each, and every third image is without objects."""
    folder = tmp_path_factory.mktemp("pair")
    launch(2, plain(batch_size=2, epochs=2), folder)
    return folder


def test_a_rank_without_objects_does_not_hang(pair: Path) -> None:
    rows = read_table(pair / "steps.csv")
    assert [r["step"] for r in rows] == list(range(1, 13))
    order = tiny_order(2)
    mixed = [a % 3 == 0 or b % 3 == 0 for a, b in order]
    assert any(mixed) and not all(mixed)


def tiny_order(batch_size: int) -> list[list[int]]:
    from delineate.data.sampler import Sampler

    return Sampler(12, batch_size, seed=3).order(0).reshape(-1, batch_size).tolist()


def test_two_processes_train_as_one(pair: Path, tmp_path: Path) -> None:
    tiny.start(plain(batch_size=2, epochs=2), str(tmp_path))
    alone, shared = read_table(tmp_path / "steps.csv"), read_table(pair / "steps.csv")
    assert len(alone) == len(shared) == 12
    for one, two in zip(alone, shared, strict=True):
        for name in ("loss_pixels", "loss_objects"):  # a mean over images, a mean over counted pixels
            assert two[name] == pytest.approx(one[name], rel=1e-6)


def test_what_two_processes_began_one_goes_on_with(pair: Path, tmp_path: Path) -> None:
    shutil.copytree(pair, tmp_path, dirs_exist_ok=True)
    assert tiny.start(plain(batch_size=2, epochs=3), str(tmp_path), resume=True).step == 18
    assert [r["step"] for r in read_table(tmp_path / "steps.csv")] == list(range(1, 19))
    assert sorted(p.name for p in pair.glob("*.safetensors")) == ["best.safetensors", "last.safetensors"]
