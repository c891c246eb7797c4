"""Training on several processes: does it train as one does, survive kills, and what does it cost?

    DELINEATE_DATA=... python benchmarks/train_many.py parity
    DELINEATE_DATA=... python benchmarks/train_many.py kills [--times 3] [--starter torchrun] [--sharded]
    DELINEATE_DATA=... python benchmarks/train_many.py cost

*parity*: one step of small models of six families, two processes with two images each against one with
four; relative differences of loss and gradient length. *kills*: `center_offset` on the Data Science Bowl 2018
in two processes; one of them is killed (kill -9) at a random moment, all start again; the weights in the end
against those of a run without a kill, bit for bit. *cost*: CPU seconds and the largest process's memory,
whole and split models, batches in one piece and in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests" / "engine"
RECIPE = """
[data]
path = "${DELINEATE_DATA}/dsb2018"
[model]
name = "center_offset"
settings = {channels = [8, 8, 8]}
[augment]
crop = 64
[train]
steps = 40
samples_per_epoch = 20
batch_size = 4
evaluate_every = 0
threads = 1
checkpoint_minutes = 0.0
ema = 0.9
"""


def port() -> str:
    """One that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def parity() -> None:
    """A table of relative differences, a row a family."""
    sys.path.insert(0, str(TESTS))
    import family_training as families
    import torch

    from delineate.engine.record import read_table

    torch.set_num_threads(1)
    split = {"sharded": True}
    jobs = [{"name": n, "out": n, "settings": {"steps": 1}} for n in families.MODELS]
    jobs += [{"name": n, "out": f"{n}_split", "settings": {"steps": 1, **split}} for n in families.MODELS]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port(), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, families.__file__, place, json.dumps(jobs)]
        subprocess.run(command, env={**os.environ, **environment}, check=True)
        print("family | loss | two processes: loss, gradient | split: loss, gradient")
        for name in families.MODELS:
            families.start(name, folder / "one" / name, steps=1)
            rows = [read_table(folder / f / "steps.csv")[0] for f in (f"one/{name}", name, f"{name}_split")]
            one, *others = rows
            shown = [f"{abs(r[k] / one[k] - 1):.0e}" for r in others for k in ("loss", "gradient")]
            print(f"{name} | {one['loss']:.4f} | {shown[0]}, {shown[1]} | {shown[2]}, {shown[3]}", flush=True)


def command(starter: str, recipe: Path, out: Path, words: list[str]) -> list[str]:
    """What starts two processes, with two restarts."""
    program = [sys.executable, "-m", "delineate"]
    training = ["train", str(recipe), "--out", str(out), "--quiet", *words]
    if starter == "delineate":
        return [*program, *training, "--processes", "2", "--restarts", "2"]
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "2"]
    return [
        *run,
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        f"127.0.0.1:{port()}",
        "-m",
        *program[2:],
        *training,
    ]


def workers(out: Path) -> list[int]:
    """Processes that train into a folder and do not start others."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if str(out) in words and any(e.startswith("LOCAL_RANK=") for e in environment):
            found.append(int(entry.name))
    return found


def kills(times: int, starter: str, sharded: bool) -> None:
    """Kill one of two processes, again and again, and compare what comes out."""
    import torch

    from delineate.engine.checkpoint import load

    words = ["--set", "train.sharded=true"] if sharded else []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
        began = time.monotonic()
        straight = command(starter, recipe, folder / "straight", words)
        subprocess.run(straight, env=environment, check=True, stderr=subprocess.DEVNULL)
        lasted = time.monotonic() - began
        right = load(folder / "straight" / "last.safetensors").weights
        for turn in range(times):
            out = folder / "killed"
            shutil.rmtree(out, ignore_errors=True)
            running = subprocess.Popen(
                command(starter, recipe, out, words), env=environment, stderr=subprocess.DEVNULL
            )
            while not list(out.glob("last.state*")):  # the first checkpoint
                time.sleep(0.05)
                if running.poll() is not None:
                    raise SystemExit("it ended before it could be killed")
            time.sleep(random.uniform(0, 0.5 * lasted / 4))
            chosen = workers(out)
            if chosen:
                os.kill(random.choice(chosen), signal.SIGKILL)
            code = running.wait()
            weights = load(out / "last.safetensors").weights
            equal = weights.keys() == right.keys() and all(torch.equal(weights[k], right[k]) for k in right)
            print(
                f"{starter}{' sharded' * sharded} {turn}: killed {bool(chosen)}, exit {code}, equal {equal}",
                flush=True,
            )


def cost() -> None:
    """A table of CPU seconds and memory."""
    model = [
        "model.name=mask2former", "model.settings.backbone=convnext_tiny", "model.settings.points=512",
        "augment.crop=128", "train.steps=4", "train.batch_size=4", "train.optimizer=adamw", "train.lr=1e-5",
        "train.checkpoint_minutes=60",
    ]  # fmt: skip
    rows = {
        "one process": ([], []),
        "one process, 4 parts": ([], ["train.accumulate=4"]),
        "one process, 4 parts, own counts": ([], ["train.accumulate=4", "train.count_first=false"]),
        "two processes": (["--processes", "2"], []),
        "two processes, split": (["--processes", "2"], ["train.sharded=true"]),
    }
    with tempfile.TemporaryDirectory() as place:
        recipe = Path(place) / "recipe.toml"
        recipe.write_text(
            RECIPE.replace("settings = {channels = [8, 8, 8]}\n", "").replace('"center_offset"', '"x"')
        )
        for title, (words, settings) in rows.items():
            out = Path(place) / "out"
            shutil.rmtree(out, ignore_errors=True)
            sets = [w for s in [*model, *settings] for w in ("--set", s)]
            program = [sys.executable, "-m", "delineate", "train", str(recipe), "--out", str(out), "--quiet"]
            started = subprocess.Popen([*program, *words, *sets], env={**os.environ, "OMP_NUM_THREADS": "1"})
            _, status, usage = os.wait4(started.pid, 0)
            seconds, size = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
            print(f"{title} | {seconds:.1f} s CPU | {size:.0f} MB | exit {status}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["parity", "kills", "cost"])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--starter", choices=["delineate", "torchrun"], default="delineate")
    parser.add_argument("--sharded", action="store_true")
    given = parser.parse_args()
    if given.what == "parity":
        parity()
    elif given.what == "cost":
        cost()
    else:
        kills(given.times, given.starter, given.sharded)
