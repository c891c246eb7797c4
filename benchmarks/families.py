"""The families at equal budget: same data, same minutes on one core, same evaluator, several seeds.

    DELINEATE_DATA=... python benchmarks/families.py runs/families --peer /path/to/peer/bin/python
    python benchmarks/families.py runs/families --table

Every run is a folder METHOD-DATA-SEED with predictions.json (COCO results at original size) and result.json.
A second call does only what is missing, and does again what lost more than a tenth of its budget to others.
All methods get the same 8-bit images (see families_data.py), train from random weights on one thread, and are
scored from their predictions by `delineate.evaluate`. Pin it to a core:
`taskset -c 1 env OMP_NUM_THREADS=1 python ...`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from families_data import SIDES, SPLITS, prepare
from families_table import table

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"
CONFIDENCE, TIMED_CONFIDENCE, MAX_DET = 0.001, 0.25, 300
TIMED_EVERY = 4  # images
PRECISION = 0.8  # at which crowd errors are compared
LOST = 0.1  # of its budget, at most, that other work may cost a run

FEWER_REGIONS = {  # the published numbers are for large images: here they give 44 steps in four minutes
    "model.settings.sampling.samples": 64, "model.settings.proposals.before_nms_training": 500,
    "model.settings.proposals.after_nms_training": 300,
    "augment.mosaic": 0.0,  # in a hundred steps it learns less with it: AP 0.016 against 0.104
}  # fmt: skip
SMALL = {"augment.crop": 128, "augment.mosaic": 0.0}  # crops of the windows that it predicts in
BOXES = {"model.settings.boxes_from_masks": False}
OURS: dict[str, tuple[str, dict[str, Any]]] = {  # name: recipe, changes
    "mask_rcnn": ("nuclei_mask_rcnn.toml", FEWER_REGIONS),
    "center_offset": ("nuclei.toml", {}),
    "yolact": ("yolact_nuclei.toml", {}),
    "yolo_seg_n": ("yolo_seg_nuclei.toml", {}),
    "yolo_seg_s": ("yolo_seg_nuclei.toml", {"model.name": "yolo_seg_s"}),
    "mask2former": ("transformers_nuclei.toml", SMALL | {"model.name": "mask2former"}),
    "maskdino": ("transformers_nuclei.toml", SMALL | BOXES | {"model.name": "maskdino"}),
    "dimaskdino": ("transformers_nuclei.toml", SMALL | BOXES | {"model.name": "dimaskdino"}),
}
FRAME: dict[str, dict[str, Any]] = {  # the size of images, and what only microscopy does to them
    "dsb2018": {"augment.crop": SIDES["dsb2018"]},
    "segmush": {
        "augment.crop": SIDES["segmush"], "augment.invert": 0.0, "augment.grey": 0.0,
        "model.settings.input.shortest_edge": SIDES["segmush"],
        "model.settings.input.longest_edge": SIDES["segmush"],
    },
}  # fmt: skip
INPUT = {  # of the recipes that leave it to the model
    "shortest_edge": None, "longest_edge": None, "divisor": 32, "mean": [0.5] * 3, "std": [0.25] * 3,
}  # fmt: skip
PEERS: dict[str, dict[str, Any]] = {  # name: settings beside its defaults
    "ultralytics_n": {},
    # Its warm-up (3 epochs) and gradient accumulation (64 images) are for long trainings.
    "ultralytics_n_fitted": {"batch": 8, "nbs": 8, "warmup_epochs": 0.1},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the runs and of the prepared data")
    parser.add_argument("--minutes", type=float, default=4.0, help="budget of a training")
    parser.add_argument("--methods", default=",".join((*OURS, *PEERS)))
    parser.add_argument("--data", default=",".join(SPLITS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--peer", type=Path, help="the Python of an environment that has the peer")
    parser.add_argument("--commit", default="", help="written into the results")
    parser.add_argument("--suffix", default="", help="appended to the runs' names, for another budget")
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--score", action="store_true", help="only score what is there without scores")
    parser.add_argument(
        "--set", action="append", default=[], help="change a setting of our recipes, to try it"
    )
    parser.add_argument("--unscored", action="store_true", help="leave scoring to --score")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out.resolve()
    if options.table:
        print(table(out, options.suffix))
        return
    if options.score:
        for path in sorted(out.glob("*/result.json")):
            if "scores" not in json.loads(path.read_text()):
                print(score(path.parent, out), flush=True)
        return
    if not options.one:
        prepare(out / "data")
    for seed in options.seeds.split(","):
        for method in options.methods.split(","):
            for data in options.data.split(","):
                job = {
                    "method": method, "data": data, "seed": int(seed), "minutes": options.minutes,
                    "commit": options.commit or commit(), "set": options.set,
                }  # fmt: skip
                folder = out / f"{method}-{data}-{seed}{options.suffix}"
                if options.one:
                    ours(job, folder, out)
                elif not finished(folder):
                    run(job, folder, options)


def finished(folder: Path) -> bool:
    """There is a result, and it had its whole budget."""
    path = folder / "result.json"
    if not path.exists():
        return False
    result = json.loads(path.read_text())
    return bool(result["lost_seconds"] <= LOST * 60 * result["minutes"])


def commit() -> str:
    """The commit of this checkout, or nothing where it is none."""
    told = subprocess.run(
        ["git", "-C", HERE, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()


def run(job: dict[str, Any], folder: Path, options: argparse.Namespace) -> None:
    """Train and predict in a process of its own, then score."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "YOLO_CONFIG_DIR": str(options.out.resolve() / "peer"),
    }
    if job["method"] in PEERS:
        write_peer_job(job, folder, options.out.resolve())
        command = [options.peer, HERE / "peers" / "ultralytics_train.py", folder / "job.json"]
    else:
        command = [
            sys.executable, HERE / "families.py", options.out, "--one", "--minutes", str(job["minutes"]),
            "--methods", job["method"], "--data", job["data"], "--seeds", str(job["seed"]),
            "--commit", job["commit"], f"--suffix={options.suffix}",
            *(f"--set={change}" for change in options.set),
        ]  # fmt: skip
    with (folder / "log.txt").open("w") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    if ended.returncode:
        print(f"{folder.name}: failed, see {folder / 'log.txt'}", flush=True)
        return
    told = json.loads((folder / "told.json").read_text())
    told["lost_seconds"] = round(60 * (told["minutes"] - told.pop("cpu_minutes")), 1)
    (folder / "result.json").write_text(json.dumps(job | told, indent=1) + "\n")
    print(
        f"{time.strftime('%H:%M:%S', time.gmtime())} {folder.name}: lost {told['lost_seconds']} s", flush=True
    )
    if not options.unscored:
        print(score(folder, options.out.resolve()), flush=True)


def write_peer_job(job: dict[str, Any], folder: Path, out: Path) -> None:
    """What the peer's side needs to know; it predicts at the scale that it was trained at."""
    import delineate as dl

    data = dl.open_dataset(out / "data" / job["data"], split=SPLITS[job["data"]][1])
    images = []
    for index, record in enumerate(data.records):
        native = [32 * math.ceil(side / 32) for side in data.truth(index).size]
        imgsz = native if job["data"] == "dsb2018" else [SIDES[job["data"]]] * 2
        images.append({"id": record.image_id, "path": str(record.path), "imgsz": imgsz})
    job = job | {
        "model": "yolo11n-seg.yaml", "data": str(out / "data" / f"{job['data']}-yolo" / "data.yaml"),
        "imgsz": SIDES[job["data"]], "settings": PEERS[job["method"]], "images": images,
        "category": int(data.classes.ids[0]), "confidence": CONFIDENCE, "timed_confidence": TIMED_CONFIDENCE,
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))


def ours(job: dict[str, Any], folder: Path, out: Path) -> None:
    """One training of a recipe of this project, and its predictions."""
    import torch

    import delineate as dl
    from delineate.engine.config import read_recipe
    from delineate.engine.train import train

    torch.set_num_threads(1)
    recipe = read_recipe(*recipe_and_changes(job, out))
    start, busy = time.monotonic(), time.process_time()
    result = train(recipe, folder / "train", quiet=True)
    wall, cpu = time.monotonic() - start, time.process_time() - busy
    model = dl.load(weights=folder / "train" / "last.safetensors")
    rows, ms = predict(model, dl.open_dataset(out / "data" / job["data"], split=SPLITS[job["data"]][1]))
    (folder / "predictions.json").write_text(json.dumps(rows))
    told = {
        "minutes": result.seconds / 60, "cpu_minutes": (result.seconds - (wall - cpu)) / 60, "ms": ms,
        "batches": result.step, "batch_size": recipe.train.batch_size,
        "parameters": sum(p.numel() for p in model.segmenter.parameters()),
        "versions": {"delineate": dl.__version__, "torch": torch.__version__},
    }  # fmt: skip
    (folder / "told.json").write_text(json.dumps(told))


def recipe_and_changes(job: dict[str, Any], out: Path) -> tuple[Path, list[tuple[str, Any] | str]]:
    """The method's recipe, with what is the same for all."""
    from delineate.engine.config import read_recipe

    name, own = OURS[job["method"]]
    given = read_recipe(RECIPES / name).model.settings.get("input", {})
    changes: dict[str, Any] = {f"model.settings.input.{k}": v for k, v in (INPUT | given).items()}
    changes |= {
        "data.path": str(out / "data" / job["data"]), "data.train_split": "train", "data.cache": True,
        "model.settings.input.scaling": "range", "augment.mosaic": 1.0,
        "train.max_minutes": job["minutes"], "train.seed": job["seed"],
        "train.threads": 1, "train.workers": 0,
        "train.epochs": 10**6, "train.steps": 0, "train.evaluate_every": 0, "train.balance": "",
        "train.checkpoint_minutes": 1000.0,
    }  # fmt: skip
    return RECIPES / name, [*(changes | FRAME[job["data"]] | own).items(), *job["set"]]


def predict(model: Any, data: Any) -> tuple[list[dict[str, Any]], float]:
    """COCO results of all images, and the mean milliseconds of some of them at the timed confidence."""
    rows: list[dict[str, Any]] = []
    seconds = 0.0
    category = int(data.classes.ids[0])
    for i, sample in enumerate(data):
        found = model.predict(sample.image, confidence=CONFIDENCE, max_det=MAX_DET)
        if i % TIMED_EVERY == 0:
            start = time.perf_counter()
            model.predict(sample.image, confidence=TIMED_CONFIDENCE, max_det=MAX_DET)
            seconds += time.perf_counter() - start
        if not len(found):
            continue
        for rle, value in zip(found.masks.to_rle(), found.scores.tolist(), strict=True):
            rows.append(
                {"image_id": sample.image_id, "category_id": category, "score": value, "segmentation": rle}
            )
    return rows, 1000 * seconds / len(range(0, len(data), TIMED_EVERY))


def score(folder: Path, out: Path) -> str:
    """Score a run's predictions: AP over all; cells and crowds at the confidence of the best F1; crowds at
    the confidence that gives every method the same precision.
    """
    import numpy as np

    import delineate as dl
    from delineate.core.errors import InputError
    from delineate.data.formats.coco_results import read_results
    from delineate.metrics.cell_matching import CellMatching
    from delineate.metrics.operating_point import crowd_at_confidence, crowd_at_precision, operating_points

    result = json.loads((folder / "result.json").read_text())
    data = dl.open_dataset(out / "data" / result["data"], split=SPLITS[result["data"]][1])
    path = folder / "predictions.json"
    ap = dl.evaluate(path, data, metrics=["coco"], max_det=MAX_DET, progress=False).scores
    truths = [data.truth(i) for i in range(len(data))]
    images = list(zip(read_results(path, data), truths, strict=True))
    best = max(operating_points(images), key=lambda point: point.f1)
    cells = CellMatching()
    for found, truth in images:
        cells.update(found[found.scores >= np.float32(best.confidence)], truth)
    pooled = cells.compute()
    scores = {name: ap[name] for name in ("mask/AP", "mask/AP50", "box/AP", "box/AP50")}
    scores |= {
        "confidence": best.confidence, "cells/AP50": pooled.pooled[0].accuracy,
        "cells/AP50_by_image": pooled.by_image[0].accuracy, "cells/F1_50": pooled.pooled[0].f1,
    }  # fmt: skip
    at_best = crowd_at_confidence(images, best.confidence)
    scores |= {f"crowd/{name}": value for name, value in at_best.scores.items()}
    try:
        point, crowd = crowd_at_precision(images, PRECISION)
        scores |= {f"equal/{name}": value for name, value in crowd.scores.items()}
        scores["equal/confidence"] = point.confidence
    except InputError as error:  # a precision that this run never reaches
        scores["equal/unreached"] = str(error)
    (folder / "result.json").write_text(json.dumps(result | {"scores": scores}, indent=1) + "\n")
    return (
        f"{folder.name}: AP {ap['mask/AP']:.3f} AP50 {ap['mask/AP50']:.3f} cells {scores['cells/AP50']:.3f}"
    )


if __name__ == "__main__":
    main()
