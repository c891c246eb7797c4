"""Each damaged or hostile file of a corpus through every command that takes such files, in its own process.

    python benchmarks/bad_inputs.py /path/to/bad_inputs --out bad.json
    python benchmarks/bad_inputs.py /path/to/bad_inputs --only doctor,convert --files coco

The corpus is a folder with a ``manifest.csv`` whose column ``file`` names the files, by kind in folders. A
command gets the files of the kinds that it reads, and two of each other kind: a picture given as a map must
be refused as plainly as a damaged map. What is wrong is told: a signal, a traceback, more than ten seconds of
CPU or a minute, more than 2 GB, a refusal of several lines, or one that names no file of the command.
Refusals that name another of its files than the damaged one are listed too, under ``elsewhere``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

HANG, STILL, FLOOD = 10.0, 60.0, 2e9
COMMANDS = {
    "predict": "predict {file} --out {out} --save overlay,coco,labels,csv",
    "predict-tiles": "predict {file} --out {out} --tile 64 --channels 0",
    "predict-weights": "predict {image} --weights {file} --out {out}",
    "measure": "measure {file} --out {out}/a.csv",
    "measure-images": "measure {labels} --images {file} --out {out}/a.csv",
    "measure-results": "measure {file} --data {good} --out {out}/a.csv",
    "fruit": "fruit {file} --model nuclei --scale 0.1 --out {out}",
    "fruit-labels": "fruit {photos} --labels {file} --scale 0.1 --out {out}",
    "leaves": "leaves {file} --out {out}",
    "leaves-labels": "leaves {photos} --labels {file} --out {out}",
    "map": "map {file} --model nuclei --out {out}/a.gpkg",
    "map-change": "map-change {file} {map} --out {out}/a.gpkg",
    "map-change-after": "map-change {map} {file} --out {out}/a.gpkg",
    "map-score": "map-score {file} {map}",
    "grasp-color": "grasp {file} {depth} --camera 50,50,32,32 --masks {labels} --out {out}",
    "grasp-depth": "grasp {image} {file} --camera 50,50,32,32 --masks {labels} --out {out}",
    "grasp-camera": "grasp {image} {depth} --camera {file} --masks {labels} --out {out}",
    "grasp-masks": "grasp {image} {depth} --camera 50,50,32,32 --masks {file} --out {out}",
    "track": "track {file} --out {out}",
    "track-detections": "track {video} --detections {file} --out {out}",
    "track-homography": "track {video} --homography {file} --save trajectories --out {out}",
    "lineage": "lineage {file} --out {out}",
    "trajectories": "trajectories {file} --rate 5 --out {out}",
    "trajectories-camera": "trajectories {tracks} --rate 5 --camera {file} --out {out}",
    "composite": "composite {file} --background blur --out {out}/a.png",
    "composite-background": "composite {image} --background {file} --out {out}/a.png",
    "composite-tracks": "composite {video} --tracks {file} --effect outline=red --out {out}/a.mp4",
    "preview": "preview {file} --seconds 1 --sink none --json",
    "convert": "convert {file} {out}/a.json --to coco",
    "convert-skip": "convert {file} {out}/yolo --to yolo --skip-invalid",
    "doctor": "doctor {file}",
    "view": "view {file} --out {out}/a.html",
    "split": "split {file} --parts train=0.5,val=0.5 --out {out}/split.csv",
    "agreement": "agreement {file} {good}",
    "polygons": "polygons {file} --tolerance 1 --out {out}/a.json",
    "refine": "refine {file} --by edges --out {out}/a.json",
    "train": "train {file} --out {out}",
    "train-data": "train --data {file} --model center_offset --epochs 1 --set data.train_split= "
    "--set data.val_split= --set train.batch_size=1 --set model.settings.channels=[8,8] --out {out}",
    "compare": "compare --data {file} --models center_offset --budget 1s --out {out}",
    "evaluate": "evaluate --data {file} --model nuclei --quiet",
    "evaluate-predictions": "evaluate --predictions {file} --data {good} --quiet",
    "evaluate-tracks": "evaluate-tracks {file} {tracks}",
    "evaluate-tracks-truth": "evaluate-tracks {tracks} {file}",
    "misses": "misses {file} {tracks} --out {out}",
    "export": "export {file} {out}/a.onnx",
    "serve": "serve --model {file} --port {port}",
    "studio": "studio {file} --port {port} --no-browser --db {out}/a.sqlite",
}

SERVERS = ("serve", "studio")
PICTURES = ("images", "masks", "video", "zarr")
DATASETS = ("archives", "coco", "cvat", "labelme", "voc", "yolo")
READS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("predict", "predict-tiles", "fruit", "leaves", "map", "grasp-color", "track"), PICTURES),
    **dict.fromkeys(("composite", "composite-background", "preview"), PICTURES),
    **dict.fromkeys(("measure-images", "grasp-depth", "grasp-masks"), ("images", "masks", "zarr")),
    **dict.fromkeys(("convert", "convert-skip", "doctor", "view", "evaluate", "studio"), DATASETS),
    **dict.fromkeys(("split", "agreement", "polygons", "refine", "train-data", "compare"), ("coco", "yolo")),
    **dict.fromkeys(("fruit-labels", "leaves-labels"), ("coco", "labelme", "voc")),
    **dict.fromkeys(
        ("evaluate-predictions", "measure-results", "track-detections"), ("coco", "yolo", "masks")
    ),
    "measure": ("masks", "coco", "labelme", "images"),
    **dict.fromkeys(("predict-weights", "export", "serve"), ("models",)),
    "train": ("config", "yolo"),
    **dict.fromkeys(("grasp-camera", "track-homography", "trajectories-camera"), ("rle", "yolo", "config")),
}
"""Kinds of files that a command reads; others not named here read text or JSON of tracks or maps."""
OTHERS = ("yolo", "rle")


@dataclass
class Run:
    """One file through one command."""

    command: str
    file: str
    code: int = 0
    cpu: float = 0.0
    seconds: float = 0.0
    megabytes: float = 0.0
    said: str = ""
    wrong: str = ""
    elsewhere: bool = False


def files_for(command: str, files: list[Path], most: int) -> list[Path]:
    """The files that a command reads, and two of each other kind; ``most`` of a kind, 0 for all."""
    reads = READS.get(command, OTHERS)
    seen: Counter[str] = Counter()
    found = []
    for file in files:
        kind = file.parent.name
        seen[kind] += 1
        if (kind in reads or seen[kind] <= 2) and (most == 0 or seen[kind] <= most):
            found.append(file)
    return found


def good_files(corpus: Path, folder: Path) -> dict[str, Path]:
    """Well-formed partners of the damaged files."""
    import pandas as pd
    from PIL import Image

    from delineate.core.polygons import Polygon
    from delineate.data.vectors import Layer, write_layer

    for name in ("images", "labels"):
        (folder / "good" / name).mkdir(parents=True)
    image = folder / "good" / "images" / "valid_control.jpg"
    shutil.copy(corpus / "images" / "valid_control.jpg", image)
    labels = np.zeros((192, 256), np.uint16)
    labels[10:30, 10:30] = 1
    masks = folder / "good" / "labels" / "valid_control.png"
    Image.fromarray(labels).save(masks)
    depth = folder / "depth.png"
    Image.fromarray(np.full((192, 256), 700, np.uint16)).save(depth)
    box = Polygon([[10.0, 50], [10.001, 50], [10.001, 50.001], [10, 50.001]])
    write_layer(folder / "map.gpkg", Layer(((box,),), pd.DataFrame({"class": ["a"]}), 4326))
    tracks = folder / "tracks.txt"
    tracks.write_text("".join(f"{t},1,{10 + t},10,20,20,1,1,1\n" for t in range(1, 4)))
    return {
        "image": image,
        "photos": image.parent,
        "labels": masks,
        "good": folder / "good",
        "depth": depth,
        "map": folder / "map.gpkg",
        "tracks": tracks,
        "video": corpus / "video" / "valid_control.mp4",
    }


def prepare() -> None:
    """Imports what every command needs, and a small model in place of each one that is asked for by name."""
    import importlib
    import pkgutil

    import torch

    import delineate.engine.load
    from delineate.engine.load import Model
    from delineate.models.zoo import build

    for module in pkgutil.walk_packages(delineate.__path__, "delineate."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # once for all children
    for name in (
        "scipy.optimize",
        "scipy.ndimage",
        "pyarrow.parquet",
        "pyproj",
        "shapely",
        "av",
        "openslide",
        "zarr",
    ):
        importlib.import_module(name)
    torch.set_num_threads(1)
    small, load = Model(build("center_offset", channels=(8, 8)), "small"), delineate.engine.load.load

    def instead(name: object = None, weights: object = None, device: object = None) -> Model:
        return small if weights is None else load(name, weights, device)  # type: ignore[arg-type]

    delineate.engine.load.load = instead  # type: ignore[assignment]


def run(command: str, file: Path, partners: dict[str, Path], scratch: Path) -> Run:
    """One command on one file, in a child of this process; a server that has come up is ended."""
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    words = COMMANDS[command].split()
    arguments = [word.format(file=file, out=out, port=free_port(), **partners) for word in words]
    told = Run(command, f"{file.parent.name}/{file.name}")
    log = scratch / "said.txt"
    log.write_text("")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_command(arguments, log, out)
    status, used = _wait(child, log if command in SERVERS else None)
    told.seconds = round(time.monotonic() - began, 2)
    told.cpu = round(used.ru_utime + used.ru_stime, 2)
    told.megabytes = round(used.ru_maxrss / 1024, 1)
    told.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    text = log.read_text(encoding="utf-8", errors="replace")
    told.said = text[-600:]
    told.wrong = _wrong(told, text, [file, *partners.values()])
    told.elsewhere = told.code == 2 and not told.wrong and file.name not in text
    return told


def _be_the_command(arguments: list[str], log: Path, out: Path) -> None:
    """Never returns."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(HANG) + 2, int(HANG) + 4))
        os.chdir(out)
        os.environ["DELINEATE_TRACEBACK"] = "1"
        os.environ["DELINEATE_CACHE"] = str(out / "cache")
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(said if arguments[0] in SERVERS else quiet, 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        from delineate import cli

        code = cli.main(arguments)
        sys.stderr.flush()
        os._exit(code)
    except BaseException as error:
        os.write(2, f"Traceback: left the command: {error!r}\n".encode())
        os._exit(99)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _wait(child: int, server: Path | None) -> tuple[int, resource.struct_rusage]:
    """Until a command ends; a server, by its log, until it tells its address."""
    end = time.monotonic() + STILL
    while True:
        if server is not None and server.exists() and "http://" in server.read_text(errors="replace"):
            os.killpg(child, signal.SIGKILL)
            return 0, os.wait4(child, 0)[2]
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            return status, used
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return status, used
        time.sleep(0.005)


def _wrong(told: Run, text: str, given: list[Path]) -> str:
    """What is wrong with a run; empty where nothing is. ``given`` are the files that it may name."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    if told.code < 0:
        name = signal.Signals(-told.code).name
        return "hang" if name in ("SIGXCPU", "SIGKILL") else name
    if "Traceback" in text or told.code in (70, 99):
        return "traceback"
    if told.cpu > HANG:
        return "hang"
    if told.megabytes * 1024 * 1024 > FLOOD:
        return "memory"
    if told.code == 2 and len(errors) != 1:
        return "lines"
    named = any(path.name in text for path in given) or "see `delineate" in text or "error: --" in text
    if told.code == 2 and not named:
        return "unnamed"
    return ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", default="", help="commands, with commas between")
    parser.add_argument("--files", default="", help="files whose name in the manifest has this in it")
    parser.add_argument("--most", type=int, default=0, help="files of each kind for each command; 0: all")
    parser.add_argument("--out", type=Path, default=Path("bad_inputs.json"))
    given = parser.parse_args()
    corpus = given.corpus.resolve()
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as lines:
        files = [corpus / row["file"] for row in csv.DictReader(lines) if given.files in row["file"]]
    chosen = [name for name in given.only.split(",") if name] or list(COMMANDS)
    marker = Path("/tmp/seg_bad_input_executed")
    before = marker.exists()
    prepare()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        partners = good_files(corpus, Path(folder))
        for command in chosen:
            mine = [
                run(command, file, partners, Path(folder)) for file in files_for(command, files, given.most)
            ]
            runs += mine
            wrong = [each for each in mine if each.wrong]
            most = max(mine, key=lambda each: each.megabytes)
            slow = max(mine, key=lambda each: each.cpu)
            codes = dict(sorted(Counter(each.code for each in mine).items()))
            print(f"{command:24} {codes}  {slow.cpu:.1f} s, {most.megabytes:.0f} MB at most", flush=True)
            for each in [each for each in mine if each.elsewhere]:
                print(f"    elsewhere: {each.file}: {each.said.strip()[-200:]!r}", flush=True)
            for each in wrong:
                print(f"    {each.wrong}: {each.file}: {each.said.strip()[-160:]!r}", flush=True)
    record = {"runs": len(runs), "files": len(files), "payload_run": marker.exists() and not before,
              "wrong": [asdict(each) for each in runs if each.wrong],
              "elsewhere": [asdict(each) for each in runs if each.elsewhere]}  # fmt: skip
    given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{len(runs)} runs of {len(files)} files: {sum(bool(r.wrong) for r in runs)} wrong")


if __name__ == "__main__":
    main()
