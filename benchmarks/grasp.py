"""How often a grasp holds, in synthetic bins whose bodies are known, by the noise of the depth.

Each grasp is judged on the true bodies (delineate.data.synthetic.bins_check): fingers must be inside nothing
and touch within both friction cones, a cup must seal all around. Beside our candidates stands what is usual
without them: for fingers the mask's centroid and the short axis of its pixels (PCA); for the cup the centroid
with the normal there, and the middle of the largest flat patch. All are given the true visible masks and the
same depth. Times are of the processor, so that a busy machine tells the same.

    python benchmarks/grasp.py [--seeds 3] [--first 5] [--bins 10] [--noise 0,0.001,0.002,0.004]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from delineate.apply.grasp import CUP, FINGERS, Grasps, GraspSettings, find_grasps
from delineate.apply.gripper import Gripper, SuctionCup
from delineate.apply.planes import find_plane, fit_plane
from delineate.apply.point_cloud import perpendicular
from delineate.apply.scene_cloud import SceneCloud
from delineate.data.synthetic.bins import BinScene, BinSettings, bin_scene, noisy_depth
from delineate.data.synthetic.bins_check import Verdict, check_cup, check_fingers

GRIPPER, CUPS = Gripper(), SuctionCup()
SHOWN = 0.5  # objects of which less shows are not asked for one by one
DEADLINES = (0.02, 0.05, 0.1, 0.2, 0.5)

Try = tuple[NDArray[np.float64], float] | None


def judge(scene: BinScene, target: int, kind: str, found: Try) -> Verdict:
    """A pose and its opening against the true bodies."""
    if found is None:
        return Verdict(False, "none")
    pose, opening = found
    if kind == FINGERS:
        boxes = GRIPPER.boxes(opening)
        return check_fingers(scene.solids, target, scene.walls, pose, boxes, GRIPPER.friction)
    sizes = (CUPS.radius, CUPS.compliance, CUPS.hollow, CUPS.length)
    return check_cup(scene.solids, target, scene.walls, pose, *sizes)


def ours(found: Grasps, kind: str) -> Callable[[int], Try]:
    def best(i: int) -> Try:
        some = found.of(i, kind)
        return (some[0].pose, some[0].opening) if some else None

    return best


def centroid(cloud: SceneCloud) -> Callable[[int], Try]:
    """Fingers at the mask's centroid, closing along the short axis of its pixels, 2 cm deep."""

    def grasp(i: int) -> Try:
        own = cloud.owner == i + 1
        rows, columns = np.nonzero(own)
        if len(rows) < 30:
            return None
        middle = np.array([columns.mean(), rows.mean()])
        pixels = np.column_stack([columns, rows]) - middle
        axes = np.linalg.eigh(np.cov(pixels.T))[1]
        approach = cloud.approach
        near = np.hypot(*pixels.T) < 4
        known = near & np.isfinite(cloud.depth[own])
        depth = np.median(cloud.depth[own][known]) if known.any() else np.nanmedian(cloud.depth[own])
        place = np.array([*((middle - cloud.camera[:2, 2]) / cloud.camera[0, 0]), 1.0]) * depth
        x = np.array([*axes[:, 0], 0.0])
        x -= approach * (x @ approach)
        x /= np.linalg.norm(x)
        points = cloud.clouds[i].astype(np.float64) - place
        low, high = np.percentile(points @ x, (1, 99))
        deep = 0.02
        if cloud.support is not None:
            deep = min(deep, float(cloud.support.height(place)) - 0.005)
        pose = np.eye(4)
        pose[:3, :3] = np.column_stack([x, np.cross(approach, x), approach])
        pose[:3, 3] = place + approach * deep
        return pose, float(min(high - low + 2 * GRIPPER.clearance, GRIPPER.width))

    return grasp


def _cup_pose(place: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([*perpendicular(-normal), -normal])
    pose[:3, 3] = place
    return pose


def centroid_cup(cloud: SceneCloud) -> Callable[[int], Try]:
    """The cup at the point nearest the mask's centroid, along the normal of the points around it."""

    def grasp(i: int) -> Try:
        rows, columns = np.nonzero(cloud.owner == i + 1)
        if len(rows) < 30:
            return None
        k = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
        place = cloud.points[rows[k], columns[k]].astype(np.float64)
        points = cloud.clouds[i].astype(np.float64)
        plane = fit_plane(points[np.linalg.norm(points - place, axis=1) < CUPS.radius])
        return None if plane is None else (_cup_pose(place, plane.normal), 0.0)

    return grasp


def flat_patch(cloud: SceneCloud) -> Callable[[int], Try]:
    """The cup in the middle of the largest flat patch: the plane with most of the object's points."""

    def grasp(i: int) -> Try:
        own = cloud.owner == i + 1
        plane = find_plane(cloud.clouds[i], 0.002)
        if plane is None:
            return None
        flat = own & (np.abs(plane.height(np.nan_to_num(cloud.points))) < 0.002)
        count, parts, sizes, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8))
        if count < 2:
            return None
        patch = (parts == 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
        inner = cv2.distanceTransform(np.pad(patch, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(int(inner.argmax()), inner.shape)
        return _cup_pose(cloud.points[row, column].astype(np.float64), plane.normal), 0.0

    return grasp


def nearest(cloud: SceneCloud) -> int:
    """The object that reaches farthest towards the gripper: what one takes without an order of picking."""
    tops = [np.percentile(c @ cloud.approach, 5) if len(c) >= 30 else np.inf for c in cloud.clouds]
    return int(np.argmin(tops))


class Score:
    """Grasps that held, over all, per name."""

    def __init__(self) -> None:
        self.bins: dict[str, list[bool]] = {}
        self.objects: dict[str, list[bool]] = {}
        self.given: dict[str, int] = {}

    def add(
        self, scene: BinScene, name: str, kind: str, method: Callable[[int], Try], first: int | None
    ) -> None:
        verdict = judge(scene, first, kind, method(first)) if first is not None else Verdict(False, "none")
        self.bins.setdefault(name, []).append(verdict.held)
        for i in np.flatnonzero(scene.visible >= SHOWN).tolist():
            found = method(i)
            self.given[name] = self.given.get(name, 0) + (found is not None)
            self.objects.setdefault(name, []).append(judge(scene, i, kind, found).held)


def first_of(found: Grasps, kind: str) -> int | None:
    return next((g.target for g in found.grasps if g.kind == kind), None)


def compare(scenes: list[BinScene], noise: float, times: dict[str, list[float]]) -> Score:
    score = Score()
    for number, scene in enumerate(scenes):
        depth = noisy_depth(scene, noise, number, 0.02 if noise else 0.0)
        masks = scene.truth.masks
        assert masks is not None
        found = find_grasps(depth, scene.camera, masks, clock=time.process_time)
        for stage, seconds in found.seconds.items():
            times.setdefault(stage, []).append(seconds)
        top = nearest(found.scene)
        score.add(scene, "fingers, ours", FINGERS, ours(found, FINGERS), first_of(found, FINGERS))
        score.add(scene, "fingers, centroid", FINGERS, centroid(found.scene), top)
        score.add(scene, "cup, ours", CUP, ours(found, CUP), first_of(found, CUP))
        score.add(scene, "cup, centroid", CUP, centroid_cup(found.scene), top)
        score.add(scene, "cup, flat patch", CUP, flat_patch(found.scene), top)
    return score


def deadlines(scenes: list[BinScene]) -> None:
    print(
        "\n| deadline, s | answered after (median, most) | bins with a grasp | first one held |"
        "\n|---|---|---|---|"
    )
    for limit in DEADLINES:
        spent, any_, held = [], 0, 0
        for scene in scenes:
            assert scene.truth.masks is not None
            begun = time.process_time()
            masks = scene.truth.masks
            found = find_grasps(scene.depth, scene.camera, masks, deadline=limit, clock=time.process_time)
            spent.append(time.process_time() - begun)
            if found.grasps:
                one = found.grasps[0]
                any_ += 1
                held += judge(scene, one.target, one.kind, (one.pose, one.opening)).held
        print(f"| {limit:g} | {np.median(spent):.3f}, {max(spent):.3f} | {any_} of {len(scenes)} | {held} |")


def order_errors(scenes: list[BinScene]) -> None:
    """The visible fraction against the truth, and whether what is picked first has nothing on it."""
    errors, naive, hidden, free, chosen = [], [], [], 0, 0
    for scene in scenes:
        assert scene.truth.masks is not None
        found = find_grasps(
            scene.depth, scene.camera, scene.truth.masks, GraspSettings(gripper=None, cup=None)
        )
        good = scene.visible > 0.05
        errors += np.abs(found.order.visible - scene.visible)[good].tolist()
        naive += (1 - scene.visible)[good].tolist()
        under = good & (scene.visible < 0.98)
        hidden += np.abs(found.order.visible - scene.visible)[under].tolist()
        first = int(found.order.order[0])
        free, chosen = free + (scene.visible[first] > 0.999), chosen + 1
    print(
        f"\nvisible fraction: mean error {np.mean(errors):.3f} over {len(errors)} objects (all taken "
        f"for whole: {np.mean(naive):.3f}); {np.mean(hidden):.3f} over the {len(hidden)} partly hidden ones. "
        f"First to be picked is wholly visible in {free} of {chosen} bins."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=5, help="number of the first seed")
    parser.add_argument("--bins", type=int, default=10)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--noise", default="0,0.001,0.002,0.004")
    options = parser.parse_args()
    settings = replace(BinSettings(), objects=options.objects)
    groups = [
        [bin_scene(1000 * seed + k, settings) for k in range(options.bins)]
        for seed in range(options.first, options.first + options.seeds)
    ]
    bins = [scene for group in groups for scene in group]
    print(f"{options.seeds} seeds x {options.bins} bins, {sum(len(s.solids) for s in bins)} bodies")
    print(
        "\n| noise at 1 m | method | success@1 per bin (each seed) | per object | offered |"
        "\n|---|---|---|---|---|"
    )
    times: dict[str, list[float]] = {}
    for noise in (float(value) for value in options.noise.split(",")):
        scores = [compare(group, noise, times) for group in groups]
        for name in scores[0].bins:
            each = [100 * np.mean(s.bins[name]) for s in scores]
            held = [h for s in scores for h in s.objects[name]]
            offered = sum(s.given.get(name, 0) for s in scores) / len(held)
            seeds = " ".join(f"{v:.0f}" for v in each)
            print(
                f"| {1000 * noise:g} mm | {name} | {np.mean(each):.0f} % ({seeds}) "
                f"| {100 * np.mean(held):.0f} % of {len(held)} | {100 * offered:.0f} % |"
            )
    print("\nseconds, median: " + ", ".join(f"{k} {np.median(v):.3f}" for k, v in times.items()))
    order_errors(bins)
    deadlines(bins[: options.bins])


if __name__ == "__main__":
    main()
