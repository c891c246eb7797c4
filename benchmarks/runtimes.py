"""What runs where: each model in each runtime, how fast, how exact, what it scores.

    python benchmarks/runtimes.py --data DELINEATE_DATA/dsb2018 --work FOLDER --minutes 20 \
        nuclei yolo_seg_n=WEIGHTS.safetensors \
        seeded:maskrcnn_resnet50_fpn=800x1088 seeded:mask2former_resnet50=640
    python benchmarks/runtimes.py --work FOLDER --table

Eager, torch.compile, ONNX Runtime, OpenVINO in float32 and in 8 bits, and for Mask R-CNN torchvision's own
model with the same weights. Each has a process of its own; all of a model are started, warmed up, and take
turns image by image, so that a busy machine disturbs them alike. A ratio is the median, over the rounds, of
eager's time by that of the other in the same round; the middle half of the rounds stands beside it. In
float32 OpenVINO reads the ONNX file. Objects without a twin and AP are those of `delineate export --verify`.

What is done stands in FOLDER/runtimes.json and is not done again: started again, it goes on. --minutes ends
it between two steps. Models with random weights ("seeded:BUILDER=HEIGHTxWIDTH") are timed on one picture of
that size, and not scored; see runtimes_models.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from runtimes_table import table

WORKER = Path(__file__).with_name("runtimes_worker.py")
PAUSE = 0.03  # seconds between turns, so that no process's threads still spin when the other's turn comes
LEAST = 3  # rounds, however long they take
SEEDED = "seeded:"
VARIANTS = {  # name: (runtime, the file that it runs)
    "eager": ("eager", ""),
    "torchvision": ("torchvision", ""),
    "compiled": ("compiled", ""),
    "onnxruntime": ("onnxruntime", "fp32.onnx"),
    "onnxruntime int8": ("onnxruntime", "int8.onnx"),
    "openvino": ("openvino", "fp32.onnx"),
    "openvino int8": ("openvino", "int8.xml"),
}
EXPORTS = {
    "fp32.onnx": ("onnxruntime", "fp32"),
    "int8.xml": ("openvino", "int8"),
    "int8.onnx": ("onnxruntime", "int8"),
}


class Bench:
    """What is asked, what is done, and the time that is left."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.began = time.monotonic()
        self.out = given.work / "runtimes.json"
        self.done: dict[str, Any] = json.loads(self.out.read_text()) if self.out.exists() else {}

    def left(self) -> bool:
        return time.monotonic() - self.began < 60 * self.given.minutes

    def keep(self) -> None:
        self.given.work.mkdir(parents=True, exist_ok=True)
        written = self.out.with_suffix(".part")
        written.write_text(json.dumps(self.done, indent=1))
        written.replace(self.out)

    def say(self, text: str) -> None:
        print(f"{(time.monotonic() - self.began) / 60:5.1f} min  {text}", flush=True)

    def step(self, model: dict[str, Any], key: str, **task: Any) -> None:
        """One answer of a worker, kept under ``key`` unless it is there."""
        if key in model["steps"] or not self.left():
            return
        began = time.monotonic()
        answer = _answer([sys.executable, str(WORKER), json.dumps({**model["task"], **task})])
        model["steps"][key] = {**answer, "seconds": round(time.monotonic() - began, 1)}
        self.keep()
        self.say(f"{model['task']['name']}: {key}: {json.dumps(model['steps'][key])}")


def _answer(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return {"failure": " ".join(last.split())[:300]}
    return found


class Worker:
    """A variant in a process of its own."""

    def __init__(self, task: dict[str, Any]) -> None:
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(task["threads"]))
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(task)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **counts},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.first = json.loads(line)["first"] if line else None
        self.failure = "" if line else " ".join(self.process.stderr.read().split())[-300:]  # type: ignore[union-attr]

    def look(self, index: int) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{index}\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        self.process.communicate()


def measure(bench: Bench, text: str) -> None:
    """All of one model: weights, exports, turns in one thread and in two, checks."""
    given = bench.given
    name, _, more = text.partition("=")
    seeded = name.startswith(SEEDED)
    folder = given.work / "".join(c if c.isalnum() else "_" for c in name)
    task = {
        "name": name, "given": more, "folder": str(folder), "data": given.data, "images": given.images,
        "calibrate": given.calibrate, "scored": given.scored, "seeded": seeded,
        "side": 0 if seeded else given.side,
    }  # fmt: skip
    model = bench.done.setdefault(name, {"task": task, "steps": {}, "turns": {}, "first": {}})
    model["task"] = task
    wanted = [v for v in VARIANTS if _belongs(v, name) and v not in given.skip.split(",")]
    bench.step(model, "prepare", kind="prepare")
    for file, (runtime, precision) in EXPORTS.items():
        if any(VARIANTS[v][1] == file for v in wanted):
            bench.step(model, f"export {file}", kind="export", runtime=runtime, precision=precision)
    files = {v: str(folder / VARIANTS[v][1]) if VARIANTS[v][1] else "" for v in wanted}
    wanted = [v for v in wanted if not files[v] or Path(files[v]).is_file()]
    for threads in (int(n) for n in given.threads.split(",")):
        if bench.left():
            take_turns(bench, model, {v: files[v] for v in wanted}, threads)
    for variant in wanted:
        runtime = VARIANTS[variant][0]
        if runtime not in ("compiled", "torchvision") and (files[variant] or not seeded):
            bench.step(model, f"check {variant}", kind="check", runtime=runtime, path=files[variant])


def _belongs(variant: str, name: str) -> bool:
    """torchvision has its Mask R-CNN alone; of random weights 8 bits in one runtime are enough."""
    if variant == "torchvision":
        return name.startswith(f"{SEEDED}maskrcnn")
    return not (variant == "onnxruntime int8" and name.startswith(SEEDED))


def take_turns(bench: Bench, model: dict[str, Any], files: dict[str, str], threads: int) -> None:
    """Rounds in which each variant sees one image, until there are enough or time is up."""
    rounds: list[dict[str, Any]] = model["turns"].setdefault(str(threads), [])
    if len(rounds) >= bench.given.rounds:
        return
    workers: dict[str, Worker] = {}
    try:
        for variant, path in files.items():
            task = {**model["task"], "kind": "run", "path": path, "threads": threads}
            worker = Worker({**task, "runtime": VARIANTS[variant][0]})
            told = f"{model['task']['name']}: {variant} in {threads} threads: "
            bench.say(told + (worker.failure or f"first image in {worker.first} s"))
            model["first"][f"{variant} {threads}"] = worker.failure or worker.first
            if worker.failure:
                worker.close()
            else:
                workers[variant] = worker
        began = time.monotonic()
        while len(rounds) < bench.given.rounds and "eager" in workers:
            if len(rounds) >= LEAST and (time.monotonic() - began > bench.given.seconds or not bench.left()):
                break
            turn = {}
            shift = len(rounds) % len(workers)  # whoever comes first may be disturbed by what was before
            for variant in [*workers][shift:] + [*workers][:shift]:
                turn[variant] = workers[variant].look(len(rounds))
                time.sleep(PAUSE)
            rounds.append(turn)
            bench.keep()
        totals = {v: rounds[-1][v]["total"] for v in rounds[-1]} if rounds else {}
        bench.say(f"{model['task']['name']}: {len(rounds)} rounds in {threads} threads; the last: {totals}")
    finally:
        for worker in workers.values():
            worker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", help="NAME, NAME=WEIGHTS, or seeded:BUILDER=HEIGHTxWIDTH")
    parser.add_argument("--data", default="", help="dataset with splits train and val, for named models")
    parser.add_argument("--work", type=Path, required=True, help="folder for weights, exports and results")
    parser.add_argument("--minutes", type=float, default=20, help="that all may take; run it again to go on")
    parser.add_argument("--seconds", type=float, default=60, help="of turns, for each model and threads")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--images", type=int, default=6, help="of the val split, that are timed and compared")
    parser.add_argument("--scored", type=int, default=35, help="for AP; 0 for none")
    parser.add_argument("--calibrate", type=int, default=24)
    parser.add_argument(
        "--side", type=int, default=512, help="images of named models are resized to it first; 0: not"
    )
    parser.add_argument("--skip", default="", help=f"of {', '.join(VARIANTS)}; commas between")
    parser.add_argument("--table", action="store_true", help="show what is done, as Markdown, and end")
    bench = Bench(parser.parse_args())
    if not bench.given.table:
        for text in bench.given.models:
            measure(bench, text)
        bench.say("done" if bench.left() else "time is up; the same command goes on")
    print(table(bench.done))


if __name__ == "__main__":
    main()
