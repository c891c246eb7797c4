"""Tables of what lies in RGB-D frames and how to take it, with the unit and source of each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from delineate.apply.grasp import CUP, FINGERS, Grasps
from delineate.apply.point_cloud import oriented_box, project
from delineate.apply.scene_cloud import LEAST_POINTS
from delineate.core.instances import Instances

FRAME = "camera's frame: x right, y down, z forward"
GRIPPER = "gripper's frame: x the fingers close, z the approach, origin between the fingertips or in the rim"
SUPPORT = ("support_nx", "support_ny", "support_nz", "support_offset")
POSE = tuple(f"pose_{row}{column}" for row in range(3) for column in range(4))
OBJECTS: dict[str, tuple[str, str]] = {
    "image": ("", "the frame's name"),
    "label": ("", "the object's number in the label image, else 1..N; drawn on it in the overlay"),
    "class": ("", "as given or found"),
    "score": ("", "of the detection, 0..1; 1 for given masks"),
    "pick": ("", "place in the order of picking, from 1: what nothing hides first, then by height"),
    "visible_fraction": ("", "mask over mask and what an ellipse or rectangle through its own outline adds "
                         "behind the objects that hide it"),
    "hidden_by": ("", "labels of the objects in front along a shared border, by depth"),
    "hidden_border": ("", "share of the outline along which something nearer hides the rest"),
    "mask_area": ("px^2", "pixels of the mask"),
    "depth_fraction": ("", "share of the mask's pixels with a measured depth"),
    "own_fraction": ("", "share of the mask's points that are not behind the object, nor the support's"),
    "points": ("", "points of the object's cloud"),
    "x": ("m", f"median of the cloud, {FRAME}"),
    "y": ("m", f"median of the cloud, {FRAME}"),
    "z": ("m", f"median of the cloud, {FRAME}"),
    "length": ("m", "longest side of the box around the visible surface, 1st to 99th percentile"),
    "breadth": ("m", "middle side of that box"),
    "thickness": ("m", "shortest side of that box"),
    "height": ("m", "95th percentile of the cloud above the support (RANSAC, Fischler and Bolles 1981)"),
    "finger_grasps": ("", "grasps found for two fingers"),
    "suction_grasps": ("", "grasps found for the cup"),
    "tried": ("", "candidates tried for collisions"),
    "no_depth": ("", "flag: too few points with depth to grasp by"),
    "cut_by_border": ("", "flag: the mask touches the picture's edge"),
    "flat": ("", "flag: no higher than 6 mm above the support; fingers have little to hold"),
    "implausible_size": ("", "flag: a side above 1.5 m or all below 3 mm; check the depth's scale"),
}  # fmt: skip
GRASPS: dict[str, tuple[str, str]] = {
    "image": ("", "the frame's name"),
    "rank": ("", "place among the frame's grasps, from 1"),
    "label": ("", "the object's number, as in the table of objects"),
    "class": ("", "of the object"),
    "kind": ("", "fingers: two parallel fingers; suction: a cup"),
    "grasp_score": ("", "0..1: friction or seal, nearness to the middle, room, how freely the object lies"),
    "margin": ("", "fingers: 1 on the friction cones' axes, 0 at their rim (Nguyen 1988); suction: share of "
               "the rim that seals"),
    "width": ("m", "distance of the two contacts; 0 for a cup"),
    "opening": ("m", "how far the fingers open before they close; 0 for a cup"),
    "unseen": ("", "share of the gripper's volume hidden behind other surfaces"),
    "u": ("px", "column of the grasp's origin in the image"),
    "v": ("px", "row of the grasp's origin in the image"),
    **dict.fromkeys(("x", "y", "z"), ("m", f"origin of the gripper, {FRAME}")),
    **dict.fromkeys(("qx", "qy", "qz", "qw"), ("", f"rotation as unit quaternion, {GRIPPER} to {FRAME}")),
    **{name: ("m" if name.endswith("3") else "", f"row and column of the 4 x 4 matrix, {GRIPPER} to {FRAME}")
       for name in POSE},
}  # fmt: skip
FRAMES: dict[str, tuple[str, str]] = {
    "status": ("", "done, late (the deadline came before all candidates were tried) or failed"),
    "reason": ("", "why the frame could not be worked on"),
    "objects": ("", "objects in the frame"),
    "grasps": ("", "grasps found"),
    **dict.fromkeys(
        ("support_nx", "support_ny", "support_nz"),
        ("", f"normal of the plane that objects stand on, {FRAME}"),
    ),
    "support_offset": ("m", "offset of that plane: normal . p + offset = 0; the camera's distance from it"),
    "planes": ("", "planes found in the background"),
    "depth": ("", "how the depth was read"),
    **dict.fromkeys(
        ("points_s", "order_s", "candidates_s", "collisions_s", "total_s"),
        ("s", "time of this stage, reading and writing not counted"),
    ),
}


def object_table(name: str, objects: Instances, numbers: NDArray[np.int64], found: Grasps) -> pd.DataFrame:
    """One row per object, in the order of ``objects``.

    Args:
        name: the frame's.
        objects: N objects.
        numbers: (N,) what they are called.
        found: what was found in the frame.
    """
    place = np.empty(len(objects), np.int64)
    place[found.order.order] = np.arange(1, len(objects) + 1)
    rows = [
        {"image": name, **_object(i, objects, numbers, found), "pick": int(place[i])}
        for i in range(len(objects))
    ]
    return described(pd.DataFrame(rows, columns=list(OBJECTS)), OBJECTS)


def _object(i: int, objects: Instances, numbers: NDArray[np.int64], found: Grasps) -> dict[str, Any]:
    scene, cloud = found.scene, found.scene.clouds[i]
    masks = scene.masks
    up = None if scene.support is None else scene.support.normal
    enough = len(cloud) >= LEAST_POINTS
    box = oriented_box(cloud, up) if enough else None
    sides = box.extent if box is not None else np.full(3, np.nan)
    x, y, z = np.median(cloud, axis=0).tolist() if enough else (np.nan,) * 3
    height = (
        float(np.percentile(scene.support.height(cloud), 95)) if enough and scene.support else float("nan")
    )
    left, top, right, bottom = masks.boxes[i].tolist()
    edge = left <= 0 or top <= 0 or right >= masks.size[1] or bottom >= masks.size[0]
    behind = [str(numbers[j]) for j in found.order.hidden_by(i)]
    return {
        "label": int(numbers[i]), "class": objects.names[i], "score": float(objects.scores[i]),
        "visible_fraction": float(found.order.visible[i]), "hidden_by": " ".join(behind),
        "hidden_border": float(found.order.hidden_border[i]), "mask_area": int(masks.area[i]),
        "depth_fraction": float(scene.measured[i]), "own_fraction": float(scene.kept[i]),
        "points": len(cloud),
        "x": x, "y": y, "z": z, "length": sides[0], "breadth": sides[1], "thickness": sides[2],
        "height": height,
        "finger_grasps": len(found.of(i, FINGERS)), "suction_grasps": len(found.of(i, CUP)),
        "tried": int(found.tried[i]), "no_depth": not enough, "cut_by_border": bool(edge),
        "flat": bool(height < 0.006), "implausible_size": bool(sides[0] > 1.5 or sides[0] < 0.003),
    }  # fmt: skip


def grasp_table(name: str, objects: Instances, numbers: NDArray[np.int64], found: Grasps) -> pd.DataFrame:
    """One row per grasp, best first."""
    rows = []
    for rank, one in enumerate(found.grasps, 1):
        u, v = project(one.pose[None, :3, 3], found.scene.camera)[0].tolist()
        turn = Rotation.from_matrix(one.pose[:3, :3]).as_quat(canonical=True).tolist()
        x, y, z = one.pose[:3, 3].tolist()
        row: dict[str, Any] = {
            "image": name, "rank": rank, "label": int(numbers[one.target]),
            "class": objects.names[one.target],
            "kind": one.kind, "grasp_score": one.score, "margin": one.margin, "width": one.width,
            "opening": one.opening, "unseen": one.unseen, "u": u, "v": v, "x": x, "y": y, "z": z,
        }  # fmt: skip
        row |= dict(zip(("qx", "qy", "qz", "qw"), turn, strict=True))
        row |= dict(zip(POSE, one.pose[:3].reshape(-1).tolist(), strict=True))
        rows.append(row)
    return described(pd.DataFrame(rows, columns=list(GRASPS)), GRASPS)


def frame_row(name: str, found: Grasps, depth: str) -> dict[str, Any]:
    """The frame's line in the table of images."""
    plane = found.scene.support
    support = (np.nan,) * 4 if plane is None else (*plane.normal.tolist(), plane.offset)
    row: dict[str, Any] = {
        "image": name, "status": "done" if found.complete else "late", "reason": "",
        "objects": len(found.scene.masks), "grasps": len(found.grasps),
        **dict(zip(SUPPORT, support, strict=True)), "planes": len(found.scene.planes), "depth": depth,
    }  # fmt: skip
    return row | {f"{stage}_s": seconds for stage, seconds in found.seconds.items()}


def described(table: pd.DataFrame, columns: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """The table with the unit and source of each of its columns in its ``attrs``."""
    table.attrs = {
        "units": {name: unit for name, (unit, _) in columns.items() if unit and name in table},
        "sources": {name: source for name, (_, source) in columns.items() if name in table},
    }
    return table


def columns_table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per column of all tables: table, column, unit, source."""
    rows = [
        (which, name, table.attrs["units"].get(name, ""), table.attrs["sources"].get(name, ""))
        for which, table in tables.items()
        for name in table.columns
    ]
    return pd.DataFrame(rows, columns=["table", "column", "unit", "source"])


def joined(parts: Sequence[pd.DataFrame], columns: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """Tables of several frames one under another."""
    some = [part for part in parts if len(part)]
    whole = pd.concat(some, ignore_index=True) if some else pd.DataFrame(columns=list(columns))
    return described(whole, columns)


__all__ = [
    "FRAMES",
    "GRASPS",
    "OBJECTS",
    "columns_table",
    "described",
    "frame_row",
    "grasp_table",
    "joined",
    "object_table",
]
