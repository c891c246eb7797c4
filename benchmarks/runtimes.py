"""What runs where: each model in each runtime, how exact, how fast, what it scores.

For each model: eager, torch.compile, ONNX Runtime and OpenVINO with float32, half and int8 weights.
Differences are those of `delineate export --verify`; times are processor time of one thread, so that a busy
machine disturbs them little; AP is COCO's, of masks, on part of the data's val split. Each measurement has a
process of its own.

    python benchmarks/runtimes.py --data DELINEATE_DATA/dsb2018 --out runtimes.json \
        nuclei yolo_seg_n=runs/yolo.safetensors mask_rcnn=runs/mask_rcnn.safetensors
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

VARIANTS = (
    ("eager", "", ""),
    ("compiled", "", ""),
    ("onnxruntime", "onnx", "fp32"),
    ("onnxruntime", "onnx", "int8"),
    ("openvino", "openvino", "fp32"),
    ("openvino", "openvino", "fp16"),
    ("openvino", "openvino", "int8"),
)
SETTINGS = ("data", "images", "scored", "calibrate", "repeat", "size")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "models", nargs="+", help="NAME or NAME=WEIGHTS; seeded:BUILDER=SIDE for random weights"
    )
    parser.add_argument("--data", required=True, help="dataset with splits train and val")
    parser.add_argument("--out", type=Path, default=Path("runtimes.json"))
    parser.add_argument("--images", type=int, default=6, help="that are timed and compared")
    parser.add_argument("--scored", type=int, default=35, help="for AP; 0 for none")
    parser.add_argument("--calibrate", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, default=0, help="resize images to this side first")
    parser.add_argument("--skip", default="", help="variants to leave out, such as compiled,openvino-fp16")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_one(json.loads(given.one))))
        return
    rows = json.loads(given.out.read_text()) if given.out.exists() else []
    for model in given.models:
        name, _, weights = model.partition("=")
        for runtime, to, precision in VARIANTS:
            if f"{runtime}-{precision}".strip("-") in given.skip.split(","):
                continue
            task = {
                "name": name, "weights": weights or name, "runtime": runtime, "to": to,
                "precision": precision,
                **{key: getattr(given, key) for key in SETTINGS},
            }  # fmt: skip
            began = time.monotonic()
            row = _child(task)
            row["seconds"] = round(time.monotonic() - began, 1)
            rows = [
                r
                for r in rows
                if [r[k] for k in ("name", "runtime", "precision")] != [name, runtime, precision]
            ]
            rows.append(row)
            given.out.write_text(json.dumps(rows, indent=1))
            print(_line(row), flush=True)


def _child(task: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "x", "--data", "x", "--one", json.dumps(task)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    base = {key: task[key] for key in ("name", "runtime", "precision")}
    try:
        return {**base, **json.loads(done.stdout.strip().splitlines()[-1])}
    except (ValueError, IndexError):
        return {
            **base,
            "failure": " ".join((done.stderr.strip().splitlines() or ["no word"])[-1].split())[:300],
        }


def _one(task: dict[str, Any]) -> dict[str, Any]:
    """One variant: exported, compared, timed, scored."""
    import torch

    from delineate.core.errors import DelineateError
    from delineate.data.dataset import open_dataset

    torch.set_num_threads(1)
    data = open_dataset(task["data"])
    train, val = data.select(split="train"), data.select(split="val")
    files = [str(r.path) for r in _spread(val.records, task["images"])]
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _measured(task, files, train, val, Path(folder))
        except DelineateError as error:
            return {"failure": str(error)}


def _spread(items: Any, most: int) -> list[Any]:
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else list(items)


def _measured(task: dict[str, Any], files: list[str], train: Any, val: Any, folder: Path) -> dict[str, Any]:
    from delineate.data.images import read
    from delineate.engine.benchmark import Task
    from delineate.engine.benchmark_worker import measure
    from delineate.engine.load import Model
    from delineate.runtime.beside import sha256_of
    from delineate.runtime.parity import compare
    from delineate.runtime.session import Session

    source = _model(task, folder)
    where, told = str(folder / "model.safetensors"), {}
    if task["to"]:
        calibration = [read(r.path).pixels for r in _spread(train.records, task["calibrate"])]
        began = time.process_time()
        where = str(_export(task, source, files, calibration, folder))
        told["export_cpu"] = round(time.process_time() - began, 1)
        session = Session(where, task["runtime"], 1)
        told |= asdict(
            compare(source.network, session, [_sized(read(f).pixels, task["size"]) for f in files])
        )
        told["sha256"] = sha256_of(Path(where))
        scored: Any = Model(session)
    else:
        source.save(where)
        scored = source
    size = (task["size"],) * 2 if task["size"] else None
    timing = measure(Task(where, task["runtime"], tuple(files), size, threads=1, repeat=task["repeat"]))
    told["timing"] = {k: v for k, v in timing.__dict__.items() if k not in ("model", "runtime")}
    if task["scored"] and task["runtime"] != "compiled":
        from delineate.engine.evaluate import evaluate

        fits = [i for i in range(len(val)) if max(val.truth(i).size) <= (task["size"] or 10**6)]
        part = val.subset(_spread(fits, task["scored"]))  # larger ones would come in other tiles
        report = evaluate(scored, part, metrics=["coco"], progress=False)
        told["AP"] = {k: round(v, 4) for k, v in report.scores.items() if k in ("mask/AP", "box/AP")}
    return told


def _sized(image: Any, side: int) -> Any:
    import cv2

    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) if side else image


def _model(task: dict[str, Any], folder: Path) -> Any:
    import torch

    from delineate.engine.load import Model, load
    from delineate.models.zoo import build

    if not task["name"].startswith("seeded:"):
        named = not Path(task["weights"]).suffix
        return load(task["weights"]) if named else load(weights=task["weights"])
    torch.manual_seed(0)
    side = int(task["weights"])
    spec = {"shortest_edge": side, "longest_edge": side}
    return Model(build(task["name"].removeprefix("seeded:"), input=spec))


def _export(
    task: dict[str, Any], source: Any, files: list[str], calibration: list[Any], folder: Path
) -> Path:
    from delineate.data.images import read
    from delineate.runtime.export import export, takes_any_size
    from delineate.runtime.targets import ENDINGS

    spec = source.network.input
    shapes = [spec.network_size(_sized(read(f).pixels, task["size"]).shape[:2]) for f in files]
    high, wide = (-(-max(sides) // spec.divisor) * spec.divisor for sides in zip(*shapes, strict=True))
    fixed = len(set(shapes)) == 1
    return export(
        source.network, folder / f"model{ENDINGS[task['to']]}", task["to"], (high, wide),
        dynamic=not fixed and takes_any_size(source.network), precision=task["precision"],
        calibration=calibration if task["precision"] == "int8" else (),
    )  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    head = f"{row['name']:<28} {row['runtime']:<12} {row['precision']:<5}"
    if "failure" in row:
        return f"{head} {row['failure']}"
    cpu = row["timing"]["cpu"]
    parity = ", ".join(
        f"{k} {row[k]:.4g}" for k in ("outputs", "objects", "found", "differing") if row.get(k)
    )
    return f"{head} network {cpu['network']:8.1f} total {cpu['total']:8.1f} ms {parity} {row.get('AP', '')}"


if __name__ == "__main__":
    main()
