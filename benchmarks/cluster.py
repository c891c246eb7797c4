"""What a cluster of this machine's workers costs, and whether it loses or doubles anything when it is killed.

    DELINEATE_DATA=... python benchmarks/cluster.py scaling [--images 96] [--workers 1 2] [--chart FILE.svg]
    DELINEATE_DATA=... python benchmarks/cluster.py faults [--images 40] [--kills 5]
    python benchmarks/cluster.py handing-out [--images 100000]

*scaling*: `nuclei` on validation images of the Data Science Bowl 2018, by plain `delineate predict`, by
`multiprocessing.Pool` around the same calls, and by `--cluster local`; each in processes of its own, in turn.
CPU is that of all processes of a run, memory the sum of what each does not share (USS).
*faults*: the same run while workers and drivers are killed by signal 9 at random moments; drivers are started
again with `--resume`. Every file must be that of a run that nobody killed.
*handing-out*: files that name no image, so that all work is the engine's own.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SAVE = "parquet,csv,coco,labels"
POOL = """
import sys, multiprocessing
from pathlib import Path

def begin():
    global model
    import torch, delineate
    torch.set_num_threads(1)
    model = delineate.load("nuclei")

def one(path):
    from delineate.data.images import read
    from delineate.measurements import measured_table
    image = read(path)
    found = model.predict(image.pixels, confidence=0.5)
    counts = [run["counts"] for run in found.masks.to_rle()]
    return path, measured_table(found, image.pixels, image.pixel_size), counts

if __name__ == "__main__":
    import pandas as pd
    multiprocessing.set_start_method("spawn")
    files = sorted(map(str, Path(sys.argv[1]).iterdir()))
    with multiprocessing.Pool(int(sys.argv[3]), begin) as pool:
        rows = list(pool.imap(one, files, chunksize=4))
    out = Path(sys.argv[2])
    out.mkdir()
    frame = pd.concat([table.assign(image=path, counts=counts) for path, table, counts in rows])
    frame.attrs = {}
    frame.to_parquet(out / "measurements.parquet")
"""


def linked(folder: Path, count: int) -> Path:
    data = Path(os.environ["DELINEATE_DATA"]) / "dsb2018"
    with (data / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [r["id"] for r in rows if r["split"] == "val" and int(r["height"]) <= 260]
    folder.mkdir(parents=True)
    for k in range(count):
        (folder / f"{k:05d}.png").symlink_to((data / "images" / f"{names[k % len(names)]}.png").resolve())
    return folder


def predict(images: Path, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "delineate", "predict", str(images), "--out", str(out), "--quiet"]
    return [*command, "--save", SAVE, *more]


def measured(command: list[str]) -> dict[str, float]:
    """Wall time, CPU time of all processes, and the most memory that they held at one time."""
    began, cpu, most = time.monotonic(), {}, 0
    run = psutil.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    turn = 0
    while run.poll() is None:
        memory = 0
        try:
            for one in [run, *run.children(recursive=True)]:
                try:
                    times = one.cpu_times()
                    cpu[one.pid] = times.user + times.system
                    memory += one.memory_full_info().uss if turn % 5 == 0 else 0
                except psutil.Error:
                    continue
        except psutil.Error:
            break
        most, turn = max(most, memory), turn + 1
        time.sleep(0.2)
    if run.wait():
        raise SystemExit(f"{' '.join(command)}: exit code {run.returncode}")
    return {"wall": time.monotonic() - began, "cpu": sum(cpu.values()), "memory_mb": most / 2**20}


def scaling(folder: Path, count: int, workers: list[int]) -> list[dict[str, object]]:
    images = linked(folder / "images", count)
    script = folder / "pool.py"
    script.write_text(POOL)
    runs: list[tuple[str, list[str]]] = [("delineate predict", predict(images, folder / "plain"))]
    for n in workers:
        pool = [sys.executable, str(script), str(images), str(folder / f"pool{n}"), str(n)]
        runs.append((f"multiprocessing.Pool, {n}", pool))
        there = predict(images, folder / f"ray{n}", "--cluster", "local", "--workers", str(n))
        runs.append((f"--cluster local, {n}", there))
    rows = []
    for name, command in runs:
        rows.append({"run": name, "images": count, "load": os.getloadavg()[0], **measured(command)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def chart(rows: list[dict[str, object]], path: Path) -> None:
    """Images a second, start included, of each run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [str(row["run"]) for row in rows]
    rates = [float(str(row["images"])) / float(str(row["wall"])) for row in rows]
    figure, axes = pyplot.subplots(figsize=(7, 0.5 * len(rows) + 1), layout="constrained")
    bars = axes.barh(names, rates, color=["#3b7ea1" if "cluster" in name else "#b0b8c0" for name in names])
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(f"images a second, start included ({rows[0]['images']} images)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def content(folder: Path) -> dict[str, str]:
    """Each result's digest by its name, without the commit log, whose files follow the clock."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "_cluster/log" not in str(p)
    }


def workers_of(driver: psutil.Popen) -> list[psutil.Process]:
    found = []
    for one in driver.children(recursive=True):
        try:
            if "MapWorker" in " ".join(one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


def faults(folder: Path, count: int, kills: int, seed: int = 0) -> dict[str, object]:
    chance = random.Random(seed)
    images = linked(folder / "images", count)
    here, out = folder / "here", folder / "there"
    cluster = ["--cluster", "local", "--workers", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    subprocess.run(predict(images, here, *cluster), check=True, **quiet)
    told = {"images": count, "drivers_killed": 0, "workers_killed": 0, "left_behind": 0, "runs": 0}
    for _ in range(20 * kills):
        resume = ["--resume"] if (out / "_cluster").is_dir() else []
        driver = psutil.Popen(predict(images, out, *cluster, *resume), **quiet)
        told["runs"] += 1
        while driver.poll() is None:
            time.sleep(chance.uniform(0.3, 3))
            alive = workers_of(driver) if driver.poll() is None else []
            if not alive:
                continue
            if told["workers_killed"] < kills:
                chance.choice(alive).kill()
                told["workers_killed"] += 1
            elif told["drivers_killed"] < kills and len(list((out / "_cluster" / "log").glob("*"))) > 1:
                family = driver.children(recursive=True)
                driver.send_signal(signal.SIGKILL)
                told["drivers_killed"] += 1
                _, left = psutil.wait_procs(family, timeout=20)
                told["left_behind"] += len(left)
        if driver.wait() == 0:
            break
    one, two = content(here), content(out)
    told["same_files"] = one == two
    told["files"] = len(two)
    told["different"] = sorted(name for name in {*one, *two} if one.get(name) != two.get(name))[:5]
    return told


def handing_out(folder: Path, count: int) -> dict[str, object]:
    """The engine's own work for each image, in this process and by Ray, where the model's is nothing."""
    from delineate.engine.cluster.chunks import chunks_of, run_here
    from delineate.engine.cluster.commits import CommitLog
    from delineate.engine.cluster.places import Place
    from delineate.engine.cluster.predict import commit
    from delineate.engine.cluster.ray_data import Cluster

    class Nothing:
        def begin(self) -> None:
            pass

        def read(self, row):
            yield None

        def look(self, row, thing):
            return {}

        def end(self, number, results):
            return {"rows": [r.row["row"] for r in results], "images": len(results)}

    rows = [{"row": k, "name": f"{k:08d}.png", "path": f"s3://bucket/{k:08d}.png"} for k in range(count)]
    chunks = chunks_of(rows, 32)
    began = time.process_time()
    for _ in run_here(Nothing(), chunks):
        pass
    here = time.process_time() - began
    wall, began = time.monotonic(), time.process_time()
    log = CommitLog(Place(str(folder / "out")), {})
    commit(Nothing(), chunks, log, Cluster(workers=1))
    return {
        "images": count,
        "here_us": 1e6 * here / count,
        "driver_cpu_us": 1e6 * (time.process_time() - began) / count,
        "wall_us": 1e6 * (time.monotonic() - wall) / count,
        "log_files": len(list((folder / "out" / "_cluster" / "log").iterdir())),
        "driver_mb": psutil.Process().memory_info().rss / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("scaling", "faults", "handing-out"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--chart", type=Path, help="with scaling: a picture of it, .svg or .png")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="delineate-cluster-"))
    try:
        if chosen.what == "scaling":
            rows = scaling(folder, chosen.images or 96, chosen.workers)
            if chosen.chart:
                chart(rows, chosen.chart)
        elif chosen.what == "faults":
            print(json.dumps(faults(folder, chosen.images or 40, chosen.kills)))
        else:
            print(json.dumps(handing_out(folder, chosen.images or 100_000)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
