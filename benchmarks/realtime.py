"""From a JPEG in memory to 100 objects with masks at the image's size: ours and the peer's n-size segmenters.

python benchmarks/realtime.py --peer PEER_PYTHON --work FOLDER [--pairs 30] [--threads 2]

PEER_PYTHON is the interpreter of an environment with ultralytics, onnxruntime and openvino; it runs
``peers/ultralytics_speed.py``. Needs DELINEATE_DATA for photographs (``coco_subset/images``), which are
brought to 640 x 640. Both networks have random weights, and both are told to keep the 100 best of 300
candidates without suppressing any. Every runtime of either is tried first, a few images each; then the best
of each side take turns image by image, each in a process of its own, and medians are told. The mean side of
the boxes is told too: the peer's masks cost the same whatever it is, ours more where boxes are larger.
FOLDER keeps the exported files for the next time. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

KEPT = 100
CANDIDATES = 300  # pass the confidence
SIDE = 640
IMAGES = 4
TRIALS = 6
PAUSE = 0.03  # seconds between turns, so that no process's threads still spin when the other's turn comes
SPREAD = 7.5  # mean distance of a box's sides from its point before training, in strides
OURS = ("torch", "onnxruntime", "openvino")
PEER = ("torch", "onnx", "openvino")


def photographs(folder: Path) -> list[Path]:
    """JPEG files of SIDE x SIDE pixels, made once."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob("*.jpg"))
    if len(found) >= IMAGES:
        return found[:IMAGES]
    source = sorted(Path(os.environ["DELINEATE_DATA"], "coco_subset", "images").rglob("*.jpg"))[:IMAGES]
    for path in source:
        pixels = cv2.resize(cv2.imread(str(path)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / path.name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return sorted(folder.glob("*.jpg"))


class Ours:
    """Our side of the race, in one runtime."""

    def __init__(self, runtime: str, work: Path, threads: int) -> None:
        import torch

        from delineate.engine.load import Model
        from delineate.models.zoo import build
        from delineate.runtime.export import export
        from delineate.runtime.session import Session

        logging.getLogger("delineate").setLevel(logging.ERROR)  # says that more than 100 were found
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        model = build("yolo_seg_n", image_size=SIDE)
        for level in model.many.levels:
            level.start(SPREAD)
        self.files = [path.read_bytes() for path in photographs(work / "images")]
        settle(model, self.files)
        self.network: Any = model.eval()
        if runtime != "torch":
            path = work / ("ours.xml" if runtime == "openvino" else "ours.onnx")
            if not path.is_file():
                export(model, path)
            self.network = Session(path, runtime, threads)
        self.model = Model(self.network)
        self.ready = self.network.prepared()
        self.limits = [self.calibrated(data) for data in self.files]

    def calibrated(self, data: bytes) -> dict[str, float]:
        """The confidence that CANDIDATES pass, and how many to keep so that KEPT have a mask."""
        scores = self.model.predict(data, confidence=0.0, iou=1.0, max_det=CANDIDATES).scores
        limits = {"confidence": float(scores.min()), "iou": 1.0, "max_det": KEPT}
        while (short := KEPT - len(self.model.predict(data, **limits))) > 0 and limits[
            "max_det"
        ] < CANDIDATES:
            limits["max_det"] += short
        return limits

    def run(self, image: int) -> dict[str, float]:
        data = self.files[image]
        begin = time.perf_counter()
        found = self.model.predict(data, **self.limits[image])
        return {"total": time.perf_counter() - begin, "kept": len(found)}

    def stages(self, image: int) -> dict[str, float]:
        import torch

        from delineate.core.batch import collate
        from delineate.data.images import read

        data = self.files[image]
        marks = [time.perf_counter()]
        pixels = read(data).pixels
        marks.append(time.perf_counter())
        batch = collate([pixels], self.ready.input)
        marks.append(time.perf_counter())
        with torch.inference_mode():
            outputs = self.ready(batch.images)
        marks.append(time.perf_counter())
        found = self.ready.instances(outputs, batch, **self.limits[image])[0]
        marks.append(time.perf_counter())
        names = ("decode", "prepare", "network", "post")
        sides = np.sqrt(np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)).mean()
        took = {n: b - a for n, a, b in zip(names, marks[:-1], marks[1:], strict=True)}
        return {**took, "kept": len(found), "side": float(sides)}


def settle(model: Any, files: list[bytes]) -> None:
    """Statistics of real activations, without which an untrained network says the same everywhere."""
    import torch

    from delineate.core.batch import collate
    from delineate.data.images import read

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean of what is seen
    with torch.no_grad():
        model.train()(collate([read(data).pixels for data in files[:2]], model.input).images)


def serve(runner: Any) -> None:
    """Answer "run N" and "stages N" on standard input, one JSON line each, until it closes."""
    for line in sys.stdin:
        verb, number = line.split()
        answer = getattr(runner, verb)(int(number))
        print("@" + json.dumps(answer), flush=True)


class Worker:
    """A process that runs one side in one runtime."""

    def __init__(self, command: list[str], threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "YOLO_AUTOINSTALL": "false"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, verb: str, number: int) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{verb} {number}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("@"):
                time.sleep(PAUSE)
                return json.loads(line[1:])
        raise SystemExit(f"{self.process.args}: ended early")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def race(workers: dict[str, Worker], verb: str, count: int) -> dict[str, dict[str, float]]:
    """Medians of what the workers tell, who take turns image by image."""
    told: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for turn in range(count):
        order = list(workers) if turn % 2 else list(workers)[::-1]
        for name in order:
            told[name].append(workers[name].ask(verb, turn % IMAGES))
    return {name: {k: median(r[k] for r in rows) for k in rows[0]} for name, rows in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--work", type=Path, default=Path("realtime"))
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-torch", action="store_true", help="try only the exported graphs")
    parser.add_argument("--prepare", action="store_true", help="only export")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    photographs(given.work / "images")
    if given.worker:
        serve(Ours(given.worker, given.work, given.threads))
        return
    script = Path(__file__).with_name("peers") / "ultralytics_speed.py"

    def ours(runtime: str) -> Worker:
        own = [sys.executable, __file__, "--worker", runtime]
        return Worker([*own, "--work", str(given.work), "--threads", str(given.threads)], given.threads)

    def peer(runtime: str, masks: str) -> Worker:
        return Worker(
            [given.peer, str(script), str(given.work), runtime, masks, str(KEPT), str(CANDIDATES)],
            given.threads,
        )

    makers: dict[str, Callable[[], Worker]] = {f"ours, {r}": (lambda r=r: ours(r)) for r in OURS}
    for runtime in PEER:
        for masks in ("fast", "retina"):
            makers[f"peer, {runtime}, {masks}"] = lambda r=runtime, m=masks: peer(r, m)
    if given.skip_torch:
        makers = {name: make for name, make in makers.items() if "torch" not in name}
    report(makers, given.pairs, given.prepare)


def report(makers: dict[str, Callable[[], Worker]], pairs: int, prepare: bool) -> None:
    """Try all, race the best, print tables."""
    tried: dict[str, float] = {}
    for name, make in makers.items():
        worker = make()
        worker.ask("run", 0)  # loads, warms up
        if not prepare:
            rows = [worker.ask("run", i % IMAGES) for i in range(TRIALS)]
            tried[name] = median(r["total"] for r in rows)
            print(
                f"{name}: {tried[name] * 1e3:.1f} ms, {median(r['kept'] for r in rows):.0f} kept", flush=True
            )
        worker.close()
    if prepare:
        return
    best = {
        side: min(
            (n for n in tried if n.startswith(side[:4]) and n.endswith(side[4:])), key=tried.__getitem__
        )
        for side in ("ours", "peerfast", "peerretina")
    }
    workers = {side: makers[name]() for side, name in best.items()}
    for worker in workers.values():
        worker.ask("run", 0)
    total = race(workers, "run", pairs)
    stages = race(workers, "stages", pairs)
    for worker in workers.values():
        worker.close()
    packages = ("torch", "onnxruntime", "openvino", "numpy", "opencv-python-headless")
    print(platform.platform(), platform.python_version(), *(f"{p} {version(p)}" for p in packages))
    print("| | decode | prepare | network | post | end to end | kept | mean box side |\n|" + "---|" * 8)
    for side, name in best.items():
        cells = [f"{stages[side][k] * 1e3:.1f}" for k in ("decode", "prepare", "network", "post")]
        extra = f"{total[side]['total'] * 1e3:.1f} | {total[side]['kept']:.0f} | {stages[side]['side']:.0f}"
        print(f"| {name} | {' | '.join(cells)} | {extra} |")
    fastest = min(total["peerfast"]["total"], total["peerretina"]["total"])
    print(f"end to end: {fastest / total['ours']['total']:.2f}x the peer's best")
    print(f"post-processing: {stages['peerretina']['post'] / stages['ours']['post']:.2f}x its retina masks, "
          f"{stages['peerfast']['post'] / stages['ours']['post']:.2f}x its fast masks")  # fmt: skip


if __name__ == "__main__":
    main()
