"""What a cluster of this machine's workers costs, and whether it loses or doubles anything when it is killed.

    DELINEATE_DATA=... python benchmarks/cluster.py scaling [--images 480] [--repeats 3] [--pool]
    DELINEATE_DATA=... python benchmarks/cluster.py faults [--images 40] [--kills 5]
    python benchmarks/cluster.py handing-out [--images 100000]

*scaling*: `nuclei` on validation images of the Data Science Bowl 2018, by plain `delineate predict`, by
`--cluster local`, and with `--pool` by `multiprocessing.Pool` around the same calls; each in processes of its
own, in turn, medians of some turns. CPU is that of all processes of a run, memory the sum of what each does
not share (USS).
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
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SAVE = "parquet,csv,coco,labels"
POOL = Path(__file__).parent / "peers" / "cluster_pool.py"


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


def scaling(
    folder: Path, count: int, workers: list[int], repeats: int, pool: bool
) -> list[dict[str, object]]:
    """Medians of runs that take turns, so that what else the machine does falls on all alike."""
    images = linked(folder / "images", count)
    out = folder / "out"
    runs: dict[str, list[str]] = {"delineate predict": predict(images, out)}
    for n in workers:
        if pool:
            runs[f"multiprocessing.Pool, {n}"] = [sys.executable, str(POOL), str(images), str(out), str(n)]
        runs[f"--cluster local, {n}"] = predict(images, out, "--cluster", "local", "--workers", str(n))
    told: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name, command in runs.items():
            shutil.rmtree(out, ignore_errors=True)
            row = {"load": os.getloadavg()[0], **measured(command)}
            print(json.dumps({"turn": turn, "run": name, **row}), flush=True)
            told[name].append(row)
    rows = []
    for name, some in told.items():
        median = {key: statistics.median(one[key] for one in some) for key in some[0]}
        walls = sorted(one["wall"] for one in some)
        rows.append({"run": name, "images": count, **median, "wall_least": walls[0], "wall_most": walls[-1]})
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
    parser.add_argument("--repeats", type=int, default=3, help="of scaling")
    parser.add_argument("--pool", action="store_true", help="with scaling: multiprocessing.Pool too")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--chart", type=Path, help="with scaling: a picture of it, .svg or .png")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="delineate-cluster-"))
    try:
        if chosen.what == "scaling":
            rows = scaling(folder, chosen.images or 480, chosen.workers, chosen.repeats, chosen.pool)
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
