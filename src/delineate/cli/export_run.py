"""What `delineate export` does: checks what is asked, loads, exports, compares."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.core.errors import InputError

from .bars import bar, stages
from .export_images import Pictures, dataset, pictures, spread
from .messages import once_each, say, tell

if TYPE_CHECKING:
    from delineate.engine.load import Model

SOME = 16  # images that a comparison looks at one by one
MANY = 100  # images that are scored
ENOUGH = 64  # images to calibrate on
RUNS = ("best", "last")  # names that every training gives; its folder says which it was


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options of the command.

    Raises:
        InputError: what does not go together, before anything is loaded.
    """

    model: str
    path: Path
    to: str
    precision: str
    size: int | tuple[int, int] | None = None
    dynamic: bool | None = None
    max_det: int | None = None
    batches: bool = False
    calibrate: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    confidence: float | None = None
    tolerance: float | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        from delineate.runtime.request import check_request, kind_of, require

        kind = kind_of(self.path, self.to or None)
        calibrated = bool(self.calibrate)
        if calibrated and self.precision != "int8":
            raise InputError("--calibrate: expected --int8 with it, got none; add it")
        check_request(
            kind,
            self.precision,
            calibrated=calibrated,
            dynamic=self.dynamic,
            max_det=self.max_det,
            batches=self.batches,
        )
        for name, value in (("tolerance", self.tolerance), ("confidence", self.confidence)):
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"--{name}: expected a number in 0..1, got {value}; give for example 0.01")
            if value is not None and not self.verify:
                raise InputError(f"--{name}: expected --verify with it, got none; add it")
        require(kind, self.precision)


def target_of(model: str, out: Path | None, to: str, precision: str) -> Path:
    """The file to write: as named; else the model's name, here or in the folder that is named.

    Example:
        >>> str(target_of("runs/mine/best.safetensors", None, "openvino", "int8"))
        'mine-int8.xml'
    """
    from delineate.runtime.request import DEFAULT
    from delineate.runtime.targets import ENDINGS

    if out is not None and not out.is_dir():
        return out
    if to and to not in ENDINGS:
        raise InputError(f"--to: expected {', '.join(ENDINGS)}, got {to!r}; choose one")
    file = Path(model)
    name = (file.resolve().parent.name if file.stem in RUNS and file.suffix else "") or file.stem
    suffix = {"fp32": "", "fp16": "-half", "int8": "-int8"}[precision]
    ready = "-tensorrt" if to == "tensorrt-ready" else ""
    return (out or Path()) / f"{name}{suffix}{ready}{ENDINGS[to or DEFAULT]}"


def frame(text: str) -> int | tuple[int, int] | None:
    """What ``--size`` says."""
    if not text:
        return None
    with suppress(ValueError):
        sides = [int(part) for part in text.split(",")]
        if len(sides) <= 2 and min(sides) > 0:
            return sides[0] if len(sides) == 1 else (sides[0], sides[1])
    raise InputError(
        f"--size: expected a number of pixels or HEIGHT,WIDTH, got {text!r}; give for example 640"
    )


def export_model(asked: Asked) -> None:
    """Load, export, compare.

    Raises:
        InputError: a model or images that cannot be had, or an export that differs too much (it is removed).
    """
    calibration = pictures(asked.calibrate, "train", ENOUGH, "--calibrate")
    compared = pictures(asked.verify, "val", SOME, "--verify")

    from delineate.engine.load import load
    from delineate.runtime.export import export
    from delineate.runtime.int8 import rule_of

    named = Path(asked.model).suffix == "" and not Path(asked.model).is_file()
    source = load(asked.model, device="cpu") if named else load(weights=asked.model, device="cpu")
    network = source.network
    if asked.precision == "int8" and not asked.quiet and (remark := rule_of(network).remark):
        say(f"note: {remark}")
    seen = count(1)
    with stages("exporting", asked.quiet) as stage:
        export(
            network,
            asked.path,
            asked.to or None,
            asked.size,
            dynamic=asked.dynamic,
            licence=source.licence,
            name=source.name,
            precision=asked.precision,
            calibration=calibration,
            max_det=asked.max_det,
            batches=asked.batches,
            progress=lambda: stage(f"calibrating, image {next(seen)} of {len(calibration)}"),
            stage=stage,
        )
    if not asked.quiet:
        weights = asked.path.with_suffix(".bin") if asked.path.suffix.lower() == ".xml" else asked.path
        say(f"wrote {asked.path}: {weights.stat().st_size / 1e6:.1f} MB of weights, {asked.precision}")
    if asked.verify:
        _verified_or_removed(source, asked, compared)


def _verified_or_removed(source: Model, asked: Asked, images: Pictures) -> None:
    from delineate.runtime.beside import files_of

    try:
        with once_each():  # such as: more objects than are kept, of each image
            _verify(source, asked, images)
    except InputError:
        for file in files_of(asked.path):
            file.unlink(missing_ok=True)
        raise


def _verify(source: Model, asked: Asked, images: Pictures) -> None:
    """Compare model and export, show the table.

    Raises:
        InputError: they differ too much.
    """
    from delineate.engine import export_check
    from delineate.runtime import parity
    from delineate.runtime.padded import Padded
    from delineate.runtime.session import Session

    path, precision, tolerance = asked.path, asked.precision, asked.tolerance
    session = Session(path, runtime="torch.export" if path.suffix.lower() == ".pt2" else None)
    with bar("comparing", len(images), asked.quiet) as step:
        found = parity.compare(source.network, session, images, asked.confidence, step)
    rows = found.rows()
    padded = Padded(source.network, session)
    truth = [data for place in asked.verify if (data := dataset(place, "val")) is not None]
    scored = []
    for data in truth:
        part = data.subset(spread(range(len(data)), MANY))
        scored.append(export_check.score_both(padded, session, part, not asked.quiet))
        rows.append(("images scored", str(scored[-1].images)))
        rows += [
            (f"{name}: model, export, difference", f"{ours:.4f}, {theirs:.4f}, {theirs - ours:+.4f}")
            for name, ours, theirs in scored[-1].rows()
        ]
    if not asked.quiet:
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            tell(f"{name:<{width}}  {value}")
    for scores in scored:
        scores.check(str(path), export_check.LOST[precision] if tolerance is None else tolerance)
    if precision == "fp32":
        found.check(str(path), part=parity.DIFFERING if scored or tolerance is None else tolerance)
    elif not scored:
        found.check(str(path), parity.LOST[precision] if tolerance is None else tolerance, precision)
    if not asked.quiet:
        aps = "".join(f"; {ap}" for scores in scored if (ap := scores.told()))
        say(f"verified {path}: {found.told(precision)}{aps}")
