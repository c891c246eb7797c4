"""One measurement of :mod:`delineate.engine.benchmark`, in the process that it has to itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DelineateError
from delineate.core.stages import Clock, watch
from delineate.data.images import read

from .benchmark import STAGES, Task, Timing

if TYPE_CHECKING:
    from delineate.core.image_model import ImageModel

    from .load import Model

COMPUTED_BY = {
    "eager": ("torch", "numpy"),
    "compiled": ("torch", "numpy"),
    "onnxruntime": ("onnxruntime", "numpy"),
    "openvino": ("openvino", "numpy"),
}


def measure(task: Task) -> Timing:
    """Load, look at the images once, then so often as asked, timing each stage.

    Raises:
        DelineateError: the model cannot be had, or an image cannot be read.
    """
    before = _memory()
    began = time.perf_counter()
    model, network = detector(task)
    load = time.perf_counter() - began
    began = time.perf_counter()
    seen = one_pass(task, model, network)
    first = time.perf_counter() - began
    rows: list[Row] = []
    for _ in range(task.repeat):
        rows += one_pass(task, model, network)
    names = (*STAGES, "total")
    wall, cpu = ({name: [row[kind, name] for row in rows] for name in names} for kind in ("wall", "cpu"))
    low, median, high = (_parts(wall, part) for part in (10, 50, 90))
    file = Path(task.model)
    weights = file.with_suffix(".bin") if file.suffix.lower() == ".xml" else file
    return Timing(
        task.model,
        task.runtime,
        median,
        low,
        high,
        cpu=_parts(cpu, 50),
        first=round(first, 3),
        load=round(load, 3),
        memory=_memory(),
        before=before,
        weights=weights.stat().st_size if weights.is_file() else 0,
        images=len(task.images),
        passes=task.repeat,
        objects=int(sum(row["", "objects"] for row in seen)),
        size=(int(seen[0]["", "height"]), int(seen[0]["", "width"])),
        versions={name: _version(name) for name in ("delineate", *COMPUTED_BY[task.runtime])},
    )


def _parts(columns: dict[str, list[float]], part: int) -> dict[str, float]:
    return {name: round(float(np.percentile(values, part)), 3) for name, values in columns.items()}


Network = Callable[[Clock], Any]
Row = dict[tuple[str, str], float]
"""Of one image: ("wall" or "cpu", stage) -> milliseconds; ("", what) -> a number."""


def detector(task: Task) -> tuple[ImageModel, Network]:
    """What finds the objects of a task, and a block in which its network's time is told to a clock.

    Raises:
        DelineateError: the model cannot be had.
    """
    if task.runtime in ("onnxruntime", "openvino"):
        from delineate.runtime.session import Session

        session = Session(Path(task.model), task.runtime, task.threads)
        return session, lambda clock: _swapped(session, "runner", clock)
    source = _loaded(task.model)
    import torch  # after loading, which says it in words where there is none

    torch.set_num_threads(task.threads)
    ready: Any = source.network.prepared()
    if task.runtime == "compiled":
        ready.forward = torch.compile(ready.forward)
    return ready, lambda clock: _swapped(ready, "forward", clock)


def _loaded(model: str) -> Model:
    """A model by its name or file.

    Raises:
        DelineateError: it cannot be had, or PyTorch is not here.
    """
    from .load import load

    named = Path(model).suffix == "" and not Path(model).is_file()
    return load(model, device="cpu") if named else load(weights=model, device="cpu")


@contextmanager
def _swapped(owner: Any, name: str, clock: Clock) -> Iterator[None]:
    """While it lasts, calls of an attribute are the stage "network"."""
    plain = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        with clock.stage("network"):
            return plain(*args, **kwargs)

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, plain)


def one_pass(task: Task, model: ImageModel, network: Network) -> list[Row]:
    """All images of a task once, by what :func:`detector` gave: a row for each ``batch`` of them."""
    rows = []
    for start in range(0, len(task.images), task.batch):
        files = task.images[start : start + task.batch]
        began = {"wall": time.perf_counter(), "cpu": time.process_time()}
        images = [_read(file, task.size) for file in files]
        read_in = {"wall": time.perf_counter() - began["wall"], "cpu": time.process_time() - began["cpu"]}
        with watch() as clock, network(clock):
            found = _found(model, images)
        ended = {"wall": time.perf_counter(), "cpu": time.process_time()}
        row: Row = {
            ("", "objects"): found, ("", "height"): images[0].shape[0], ("", "width"): images[0].shape[1]
        }  # fmt: skip
        for kind, stages in (("wall", clock.seconds), ("cpu", clock.cpu)):
            total = ended[kind] - began[kind]
            spent = {"read": read_in[kind], **stages}
            spent |= {"results": max(0.0, total - sum(spent.values())), "total": total}
            row |= {(kind, name): spent.get(name, 0.0) * 1000 / len(files) for name in (*STAGES, "total")}
        rows.append(row)
    return rows


def _found(model: ImageModel, images: list[NDArray[Any]]) -> int:
    """How many objects; an image alone goes the way of ``predict``, tiles included."""
    from .predict import predict

    if "instance" not in model.tasks:
        return len([model.find_semantic([image]) for image in images])
    if len(images) == 1:
        return len(predict(model, images[0]))
    return sum(len(each) for each in model.find_instances(images))


def _read(file: str, size: tuple[int, int] | None) -> NDArray[Any]:
    pixels = read(file).pixels
    if size is None or pixels.shape[:2] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA))


def _memory() -> float:
    """Largest resident memory of this process, in 10^6 bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6, 1)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _export(task: Task) -> Timing:
    """The model as a file; no numbers."""
    source = _loaded(task.model)
    from delineate.runtime.export import export, takes_any_size

    spec = source.network.input
    sizes = {spec.network_size(_read(file, task.size).shape[:2]) for file in task.images}
    high, wide = (-(-max(sides) // spec.divisor) * spec.divisor for sides in zip(*sizes, strict=True))
    dynamic = (len(sizes) > 1 or task.batch > 1) and takes_any_size(source.network)
    largest = max(spec.tile or high, spec.divisor)  # beyond it images come in tiles
    export(source.network, task.out, size=(min(high, largest), min(wide, largest)), dynamic=dynamic)
    return Timing(task.model, task.runtime)


def main() -> None:
    """A task as JSON on stdin, its timing as the last line of stdout."""
    record = json.loads(sys.stdin.read())
    size = record["size"]
    task = Task(**{**record, "images": tuple(record["images"]), "size": tuple(size) if size else None})
    try:
        timing = _export(task) if task.out else measure(task)
    except DelineateError as error:
        timing = Timing(task.model, task.runtime, failure=str(error))
    print(json.dumps(timing.__dict__))


if __name__ == "__main__":
    main()
