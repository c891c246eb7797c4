"""Grasps of many frames as tables, poses, clouds and pictures; one bad frame stops nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate import __version__
from delineate.apply.draw import display
from delineate.apply.draw_grasps import depth_picture, draw_grasps
from delineate.apply.grasp import Grasp, GraspSettings
from delineate.core.errors import DelineateError, InputError
from delineate.data.ply import write_ply
from delineate.data.rgbd import Depth, read_depth
from delineate.data.write import atomic, write_png

from .grasp import GraspResult, grasp
from .grasp_bop import write_bop
from .grasp_sources import Frame, pixels_of_frame
from .grasp_tables import FRAMES, GRASPS, OBJECTS, columns_table, described, frame_row, joined
from .measure_tables import write_tables
from .objects_page import PageEntry, row_links, write_index, write_page

SAVES = ("csv", "parquet", "json", "ply", "picture", "page", "bop")
DEFAULT_SAVES = ("csv", "json", "ply", "picture", "page")
CONVENTION = (
    "pose: 4 x 4 from the gripper's frame to the camera's, metres. Camera: x right, y down, z forward. "
    "Gripper: z approach, from palm to fingertips; x closing direction; y = z x x; origin midway between the "
    "fingertips, or the middle of the cup's rim."
)


@dataclass(frozen=True)
class GraspRun:
    """How frames are worked on.

    Attributes:
        settings: grippers and limits.
        out: the folder.
        saves: what to write, of :data:`SAVES`.
        deadline: seconds for each frame; reading and writing do not count.
        depth_scale: metres of a stored unit; None: as the camera's file says, else millimetres.
        turned: bits that the stored depth is rotated by; None: as the camera's file says.
        drawn: so many grasps are drawn, the best of each object and kind first.
    """

    settings: GraspSettings = field(default_factory=GraspSettings)
    out: Path = Path("grasps")
    saves: tuple[str, ...] = DEFAULT_SAVES
    deadline: float | None = None
    depth_scale: float | None = None
    turned: int | None = None
    drawn: int = 24

    def __post_init__(self) -> None:
        unknown = [name for name in self.saves if name not in SAVES]
        if unknown:
            raise InputError(
                f"--save: expected some of {', '.join(SAVES)}, got {unknown[0]!r}; choose of these"
            )


@dataclass(eq=False)
class GraspRunDone:
    """What a run has found so far.

    Attributes:
        objects: a table for each frame.
        grasps: likewise.
        frames: a line for each frame, failed ones with the reason.
        failed: how many failed.
        written: the files.
    """

    objects: list[pd.DataFrame] = field(default_factory=list)
    grasps: list[pd.DataFrame] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    failed: int = 0
    written: list[Path] = field(default_factory=list)
    poses: dict[str, Any] = field(default_factory=dict)
    bop: list[tuple[Frame, GraspResult]] = field(default_factory=list)
    pages: list[PageEntry] = field(default_factory=list)


def grasp_frames(
    frames: Sequence[Frame], run: GraspRun, tell: Callable[[str, dict[str, Any]], object] = lambda *_: None
) -> GraspRunDone:
    """Works on every frame and writes what was asked for.

    Args:
        frames: which.
        run: how.
        tell: called with each frame's name and its line of the table of frames.

    Raises:
        InputError: nothing can be written there.
    """
    done = GraspRunDone()
    _folder(run.out)
    for frame in frames:
        try:
            row = _one(frame, run, done)
        except DelineateError as error:
            row = _failed(frame.name, str(error))
        except MemoryError:
            row = _failed(frame.name, "not enough memory; use smaller images")
        done.failed += row["status"] == "failed"
        done.frames.append(row)
        tell(frame.name, row)
    if done.failed < len(frames):
        _write(done, run)
    return done


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {path}: expected a folder to write, got {error.strerror or error}; choose another place"
        ) from None


def _failed(name: str, reason: str) -> dict[str, Any]:
    return {"image": name, "status": "failed", "reason": " ".join(reason.split())}


def _one(frame: Frame, run: GraspRun, done: GraspRunDone) -> dict[str, Any]:
    """One frame: read, find, write its own files."""
    pixels = pixels_of_frame(frame)
    known = frame.camera
    depth = read_depth(
        frame.depth,
        known.depth_scale if run.depth_scale is None else run.depth_scale,
        known.turned if run.turned is None else run.turned,
    )
    objects, numbers = frame.objects(pixels)
    if not depth.metres.shape == pixels.shape[:2] == objects.size:
        raise InputError(
            f"{frame.depth.name}: expected picture, depth and masks of one size (height, width), got "
            f"{pixels.shape[:2]}, {depth.metres.shape} and {objects.size}; register the depth to the picture"
        )
    if known.size is not None and known.size != depth.metres.shape:
        raise InputError(
            f"{frame.depth.name}: expected {known.size} pixels (height, width) as the camera's file says, "
            f"got {depth.metres.shape}; intrinsics hold for one size alone"
        )
    found = grasp(
        depth.metres,
        known.matrix,
        (objects, numbers),
        settings=run.settings,
        deadline=run.deadline,
        name=frame.name,
    )
    done.poses[frame.name] = _poses(found)
    if "bop" in run.saves:
        done.bop.append((frame, found))
    _frame_files(frame, found, pixels, depth, run, done)
    done.objects.append(found.objects)
    done.grasps.append(found.grasps)
    return frame_row(frame.name, found.found, depth.told)


def chosen(found: GraspResult, most: int) -> list[Grasp]:
    """The best of each object and kind, best first."""
    best: dict[tuple[int, str], Grasp] = {}
    for one in found.found.grasps:
        best.setdefault((one.target, one.kind), one)
    return sorted(best.values(), key=lambda g: -g.score)[:most]


def _frame_files(
    frame: Frame, found: GraspResult, pixels: NDArray[Any], depth: Depth, run: GraspRun, done: GraspRunDone
) -> None:
    if "ply" in run.saves:
        place = run.out / "clouds" / frame.file
        _folder(place)
        colors = display(pixels)
        owner = found.found.scene.owner
        for i, number in enumerate(found.numbers.tolist()):
            own = (owner == i + 1) & np.isfinite(found.found.scene.depth)
            path = place / f"{number}.ply"
            write_ply(
                path, found.found.scene.points[own], colors[own], f"{frame.name}, object {number}, metres"
            )
            done.written.append(path)
    if "picture" in run.saves:
        done.written += _pictures(frame, found, pixels, depth, run)
    if "page" in run.saves and len(found.instances):
        page = run.out / "pages" / f"{frame.file}.html"
        told = [f"{len(found.grasps)} grasps", depth.told, CONVENTION]
        done.pages.append(
            write_page(page, pixels, found.instances, found.objects, title=frame.name, told=told)
        )
        found.objects["link"] = row_links(found.objects, f"pages/{frame.file}.html")


def _pictures(
    frame: Frame, found: GraspResult, pixels: NDArray[Any], depth: Depth, run: GraspRun
) -> list[Path]:
    paths = [run.out / "overlays" / f"{frame.file}.png", run.out / "depth" / f"{frame.file}.png"]
    for path in paths:
        _folder(path.parent)
    picture = draw_grasps(
        pixels, found.instances, found.numbers, found.found.order.order, chosen(found, run.drawn),
        found.found.scene.camera, (run.settings.gripper, run.settings.cup),
    )  # fmt: skip
    write_png(paths[0], np.asarray(picture))
    write_png(paths[1], np.asarray(depth_picture(depth.metres)))
    return paths


def _poses(found: GraspResult) -> dict[str, Any]:
    """The frame's entry of grasps.json."""
    numbers = found.numbers.tolist()
    rows = [
        {
            "object": numbers[g.target], "class": found.instances.names[g.target], "kind": g.kind,
            "score": round(g.score, 6), "width": round(g.width, 6), "opening": round(g.opening, 6),
            "pose": np.round(g.pose, 9).tolist(), "contacts": np.round(g.contacts, 6).tolist(),
        }
        for g in found.found.grasps
    ]  # fmt: skip
    order = [numbers[i] for i in found.found.order.order]
    plane = found.found.scene.support
    support = None if plane is None else [*plane.normal.tolist(), plane.offset]
    return {"complete": found.found.complete, "pick_order": order, "support": support, "grasps": rows}


def _write(done: GraspRunDone, run: GraspRun) -> None:
    """The tables of all frames."""
    links = {"link": ("", "page in the output folder that shows the row's object")}
    tables = {
        "objects": joined(done.objects, OBJECTS | links),
        "grasps": joined(done.grasps, GRASPS),
        "frames": described(_counted(done.frames), {"image": GRASPS["image"]} | FRAMES),
    }
    for ending in ("csv", "parquet"):
        if ending in run.saves:
            extra = {"columns": columns_table(tables)} if ending == "csv" else {}
            for name, table in (tables | extra).items():
                done.written += write_tables(run.out / f"{name}.{ending}", {"objects": table})
    if "json" in run.saves:
        record = {"delineate": __version__, "convention": CONVENTION, "frames": done.poses}
        with atomic(run.out / "grasps.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
        done.written.append(run.out / "grasps.json")
    if "bop" in run.saves:
        done.written += write_bop(done.bop, run.out)
    if done.pages:
        done.written.append(write_index(run.out / "pages" / "index.html", done.pages, "Grasps"))


def _counted(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The frames as a table; counts stay whole numbers where a failed frame has none."""
    table = pd.DataFrame(rows)
    return table.astype({name: "Int64" for name in ("objects", "grasps", "planes") if name in table})


def summary(row: dict[str, Any]) -> str:
    """``4 objects, 31 grasps in 0.21 s``."""
    objects, some = row["objects"], row["grasps"]
    text = f"{objects} object{'s'[: objects != 1]}, {some} grasp{'s'[: some != 1]} in {row['total_s']:.2f} s"
    return text + (" (deadline: not all tried)" if row["status"] == "late" else "")


__all__ = [
    "DEFAULT_SAVES",
    "SAVES",
    "GraspRun",
    "GraspRunDone",
    "chosen",
    "grasp_frames",
    "summary",
]
