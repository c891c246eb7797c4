"""How long a model takes on this machine, stage by stage, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.runtime.targets import ENDINGS

STAGES = ("read", "prepare", "network", "results", "masks")
"""In order: decode the file; resize, pad and normalise; the network; choose objects; masks in the image's
pixels."""
RUNTIMES = ("eager", "compiled", "onnxruntime", "openvino")
EXPORTED = {".onnx": "onnxruntime", ".xml": "openvino"}
PATIENCE = 1800.0  # seconds that one measurement may take


@dataclass(frozen=True)
class Task:
    """One measurement.

    Attributes:
        model: a name of the zoo, a weights file, or an exported one.
        runtime: one of :data:`RUNTIMES`; "export" writes ``out`` instead of measuring.
        images: files.
        size: (height, width) that images are resized to first; None leaves them.
        batch: so many at once; 1 sees images as ``predict`` does, large ones in tiles.
        threads: of the processor.
        repeat: how often each image is seen, after once to warm up.
        out: the file to export to.
    """

    model: str
    runtime: str
    images: tuple[str, ...]
    size: tuple[int, int] | None = None
    batch: int = 1
    threads: int = 1
    repeat: int = 5
    out: str = ""


@dataclass(frozen=True)
class Timing:
    """What one measurement found. Times are milliseconds of wall clock for one image.

    Attributes:
        model: as given.
        runtime: as given.
        median: by stage, and ``total``: the middle of all passes.
        low: the 10th percentile of the same.
        high: the 90th percentile.
        cpu: as ``median``, but processor time, all threads together: what a busy machine disturbs least.
        first: seconds of the first pass over all images, compilation included.
        load: seconds to load it.
        memory: largest resident memory of the process, in 10^6 bytes.
        before: the same before the model was loaded.
        weights: bytes of the file that holds the weights, 0 where unknown.
        images: how many images were seen in each pass.
        passes: how many passes.
        objects: found in one pass.
        size: (height, width) of the first image.
        versions: of what computes it.
        failure: why there are no numbers; empty where there are.
    """

    model: str
    runtime: str
    median: dict[str, float] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    first: float = 0.0
    load: float = 0.0
    memory: float = 0.0
    before: float = 0.0
    weights: int = 0
    images: int = 0
    passes: int = 0
    objects: int = 0
    size: tuple[int, int] = (0, 0)
    versions: dict[str, str] = field(default_factory=dict)
    failure: str = ""


def benchmark(
    models: Sequence[str],
    images: Sequence[str | Path],
    *,
    runtimes: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    batch: int = 1,
    threads: int | None = None,
    repeat: int = 5,
    told: Any = None,
) -> list[Timing]:
    """Measure models, each in each runtime, one after the other.

    Exported files are measured by the runtime of their kind, or those of ``runtimes`` that read them; other
    models are exported into a temporary folder where a runtime needs it, for the size of the images. A
    measurement that fails is told in its ``failure``; the others go on.

    Args:
        models: names of the zoo, weights files, exported files.
        images: what to look at.
        runtimes: of :data:`RUNTIMES`; default "eager", for exported files their own.
        size: (height, width) that images are resized to first.
        batch: so many images at once.
        threads: of the processor; default all.
        repeat: how often each image is seen.
        told: called with each finished :class:`Timing`.

    Raises:
        InputError: no images, or a setting out of range.
    """
    _check(models, images, runtimes, batch, threads, repeat)
    cores = threads or _cores()
    files = tuple(str(Path(image).resolve()) for image in images)
    found = []
    with tempfile.TemporaryDirectory(prefix="delineate-benchmark-") as folder:
        for model in models:
            for runtime in _runtimes_of(model, runtimes):
                task = Task(model, runtime, files, size, batch, cores, repeat)
                found.append(_run(task, Path(folder)))
                if told is not None:
                    told(found[-1])
    return found


def _check(
    models: Sequence[str],
    images: Sequence[Any],
    runtimes: Sequence[str],
    batch: int,
    threads: int | None,
    repeat: int,
) -> None:
    strange = [name for name in runtimes if name not in RUNTIMES]
    if strange:
        raise InputError(
            f"benchmark, runtime: expected {', '.join(RUNTIMES)}, got {', '.join(strange)}; choose of them"
        )
    if not models or not images:
        raise InputError("benchmark: expected a model and images, got none; name them")
    for name, value in (("batch", batch), ("threads", threads), ("repeat", repeat)):
        if value is not None and not 1 <= value <= 4096:
            raise InputError(f"benchmark, {name}: expected 1 to 4096, got {value}; give for example 1")


def _runtimes_of(model: str, asked: Sequence[str]) -> list[str]:
    own = EXPORTED.get(Path(model).suffix.lower())
    if own is None:
        return list(asked) or ["eager"]
    readers = ("openvino",) if own == "openvino" else ("onnxruntime", "openvino")
    return [name for name in asked if name in readers] or [own]


def _run(task: Task, folder: Path) -> Timing:
    """One measurement; what it needs is exported first, by another process, so that memory is its own."""
    exported = Path(task.model).suffix.lower() in EXPORTED
    if task.runtime in ("onnxruntime", "openvino") and not exported:
        name = f"{Path(task.model).stem}{ENDINGS['onnx' if task.runtime == 'onnxruntime' else 'openvino']}"
        out = folder / name
        if not out.exists():
            made = _child(Task(**{**asdict(task), "out": str(out)}))
            if made.failure:
                return made
        found = _child(Task(**{**asdict(task), "model": str(out)}))
        return Timing(**{**asdict(found), "model": task.model})
    return _child(task)


def _child(task: Task) -> Timing:
    """The task in a process with so many threads."""
    threads = str(task.threads)
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "delineate.engine.benchmark_worker"],
            input=json.dumps(asdict(task)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**os.environ, **counts},
            check=False,
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        return Timing(**{**answer, "size": tuple(answer["size"])})
    except subprocess.TimeoutExpired:
        return Timing(task.model, task.runtime, failure=f"took longer than {PATIENCE:.0f} s")
    except (ValueError, IndexError, TypeError, KeyError):
        last = " ".join((done.stderr.strip().splitlines() or ["no word"])[-1].split())[:200]
        return Timing(task.model, task.runtime, failure=f"its process ended with {done.returncode}: {last}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import platform

    return {
        "processor": _line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int((_line("/proc/meminfo", "MemTotal") or "0").split()[0]) / 1e6, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _line(path: str, key: str) -> str:
    """The value of the first line that begins with ``key``, in a file of the system; empty elsewhere."""
    try:
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""
