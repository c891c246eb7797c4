"""Grasps in synthetic bins, judged on the true bodies; order of picking; deadlines; poor frames."""

from __future__ import annotations

import numpy as np
import pytest

from delineate.apply.antipodal import pairs_of, spread_out
from delineate.apply.draw_grasps import depth_picture, draw_grasps
from delineate.apply.grasp import CUP, FINGERS, GraspSettings, find_grasps
from delineate.apply.grasp_outline import outline_of
from delineate.apply.gripper import Gripper, SuctionCup, cup_of, gripper_of, parse_sizes
from delineate.apply.pick_order import pick_order
from delineate.apply.scene_cloud import scene_cloud
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.data.synthetic.bins import BinScene, BinSettings, bin_scene, noisy_depth
from delineate.data.synthetic.bins_check import check_cup, check_fingers

SMALL = BinSettings(objects=6, size=(300, 400), focal=375)
CAMERA = np.array([[375.0, 0, 99.5], [0, 375.0, 74.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def scenes() -> list[BinScene]:
    return [bin_scene(seed, SMALL) for seed in (0, 1, 2)]


def masks_of(scene: BinScene) -> Masks:
    assert scene.truth.masks is not None
    return scene.truth.masks


def held(scene: BinScene, one: object) -> bool:
    gripper, cup = Gripper(), SuctionCup()
    if one.kind == FINGERS:  # type: ignore[attr-defined]
        boxes = gripper.boxes(one.opening)  # type: ignore[attr-defined]
        return check_fingers(scene.solids, one.target, scene.walls, one.pose, boxes, gripper.friction).held  # type: ignore[attr-defined]
    sizes = (cup.radius, cup.compliance, cup.hollow, cup.length)
    return check_cup(scene.solids, one.target, scene.walls, one.pose, *sizes).held  # type: ignore[attr-defined]


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_best_grasps_hold_the_true_bodies(scenes: list[BinScene], noise: float) -> None:
    first, each = [], []
    for k, scene in enumerate(scenes):
        depth = noisy_depth(scene, noise, k, 0.02 if noise else 0)
        found = find_grasps(depth, scene.camera, masks_of(scene))
        assert found.complete and found.scene.support is not None
        assert found.scene.support.normal @ scene.world[:3, 2] > 0.999  # the bin's floor
        for kind in (FINGERS, CUP):
            some = [g for g in found.grasps if g.kind == kind]
            first.append(held(scene, some[0]))
            each += [held(scene, mine[0]) for i in range(len(scene.truth)) if (mine := found.of(i, kind))]
        for one in found.grasps:
            turn = one.pose[:3, :3]
            np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-9)
            assert np.linalg.det(turn) > 0 and 0 <= one.score <= 1 and one.opening <= Gripper().width
        scores = [g.score for g in found.grasps]
        assert scores == sorted(scores, reverse=True)
    assert sum(first) >= len(first) - 1
    assert np.mean(each) > 0.8


def test_contacts_face_each_other_within_the_cones(scenes: list[BinScene]) -> None:
    scene = scenes[0]
    cloud = scene_cloud(scene.depth, scene.camera, masks_of(scene))
    gripper = Gripper()
    for i in range(len(scene.truth)):
        outline = outline_of(cloud, i)
        assert outline is not None
        pairs = pairs_of(cloud, i, outline, cloud.approach, gripper)
        apart = np.linalg.norm(pairs.contacts[:, 1] - pairs.contacts[:, 0], axis=1)
        np.testing.assert_allclose(apart, pairs.widths, atol=1e-9)
        assert (pairs.openings <= gripper.width).all() and ((pairs.margins >= 0) & (pairs.margins <= 1)).all()
        few = spread_out(pairs, 5)
        assert len(few) <= 5 and (few.scores[:-1] >= few.scores[1:]).all()


def test_order_and_visible_share(scenes: list[BinScene]) -> None:
    errors = []
    for scene in scenes:
        cloud = scene_cloud(scene.depth, scene.camera, masks_of(scene))
        order = pick_order(cloud)
        assert sorted(order.order.tolist()) == list(range(len(scene.truth)))
        assert not order.hidden_by(int(order.order[0]))
        errors += np.abs(order.visible - scene.visible)[scene.visible > 0.1].tolist()
    assert np.mean(errors) < 0.03


def test_what_lies_on_top_is_picked_first() -> None:
    depth = np.full((150, 200), 0.60, np.float32)
    depth[40:110, 50:120] = 0.55  # a box, partly under
    depth[60:130, 90:160] = 0.50  # the one on top
    labels = np.zeros((150, 200), np.int32)
    labels[40:110, 50:120] = 1
    labels[60:130, 90:160] = 2
    found = find_grasps(depth, CAMERA, Masks.from_label_image(labels))
    assert found.order.order.tolist() == [1, 0] and found.order.hidden_by(0) == [1]
    true = (labels == 1).sum() / (70 * 70)
    assert found.order.visible[0] == pytest.approx(true, abs=0.02) and found.order.visible[1] == 1
    assert found.grasps[0].target == 1


class Clock:
    """Every look at it takes a tenth of a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def test_a_deadline_gives_the_best_so_far(scenes: list[BinScene]) -> None:
    scene = scenes[0]
    whole = find_grasps(scene.depth, scene.camera, masks_of(scene))
    counts = []
    for deadline in (0.05, 0.9, 1.5, 3.0):
        clock = Clock()
        found = find_grasps(scene.depth, scene.camera, masks_of(scene), deadline=deadline, clock=clock)
        assert not found.complete
        assert clock.now <= 0.1 + deadline + 1.2  # what is told at the end looks at the clock too
        counts.append(int(found.tried.sum()))
        tried = found.tried[found.order.order] > 0
        assert tried.tolist() == sorted(tried.tolist(), reverse=True)  # from the top
    assert counts == sorted(counts) and counts[0] == 0 < counts[-1] < whole.tried.sum()
    late = find_grasps(scene.depth, scene.camera, masks_of(scene), deadline=1000, clock=Clock())
    assert late.complete and len(late.grasps) == len(whole.grasps)
    with pytest.raises(InputError, match="deadline"):
        find_grasps(scene.depth, scene.camera, masks_of(scene), deadline=0)


def test_a_wall_beside_the_object_forbids_fingers_there() -> None:
    depth = np.full((150, 200), 0.60, np.float32)
    depth[55:95, 80:120] = 0.56
    labels = (depth < 0.6).astype(np.int32)
    alone = find_grasps(depth, CAMERA, Masks.from_label_image(labels))
    across = [abs(g.pose[0, 0]) > 0.9 for g in alone.grasps if g.kind == FINGERS]
    assert any(across)
    depth[:, 124:160] = 0.5  # a wall at 6 mm
    walled = find_grasps(depth, CAMERA, Masks.from_label_image(labels))
    assert walled.of(0, FINGERS) and not any(abs(g.pose[0, 0]) > 0.9 for g in walled.of(0, FINGERS))


def test_fingers_only_or_cup_only_and_a_given_way(scenes: list[BinScene]) -> None:
    scene = scenes[1]
    only = find_grasps(scene.depth, scene.camera, masks_of(scene), GraspSettings(gripper=None, best=1))
    assert {g.kind for g in only.grasps} == {CUP}
    ahead = GraspSettings(cup=None, approach=(0, 0, 1), best=2)
    found = find_grasps(scene.depth, scene.camera, masks_of(scene), ahead)
    assert {g.kind for g in found.grasps} == {FINGERS}
    assert all(g.pose[2, 2] == pytest.approx(1) for g in found.grasps)
    assert max(len(found.of(i)) for i in range(len(scene.truth))) <= 2


def test_empty_holes_and_masks_without_depth() -> None:
    depth = np.full((60, 80), 0.6, np.float32)
    none = find_grasps(depth, CAMERA, Masks.empty((60, 80)))
    assert none.grasps == () and none.complete and len(none.order.order) == 0
    dense = np.zeros((3, 60, 80), bool)
    dense[0, 10:30, 10:30] = True  # no depth at all
    dense[1, 40:42, 40:42] = True  # four pixels
    depth[10:30, 10:30] = np.nan
    found = find_grasps(depth, CAMERA, Masks.from_dense(dense))  # the third is empty
    assert found.grasps == () and found.scene.measured.tolist() == [0, 1, 0]
    assert sorted(found.order.order.tolist()) == [0, 1, 2]
    with pytest.raises(InputError, match="register"):
        find_grasps(depth, CAMERA, Masks.empty((50, 80)))
    with pytest.raises(InputError, match="got none"):
        find_grasps(np.zeros((60, 80)), CAMERA, Masks.empty((60, 80)))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Gripper(width=80), "not mm"),
        (lambda: Gripper(width=0.005), "clearance"),
        (lambda: SuctionCup(radius=-1), "radius above 0"),
        (lambda: gripper_of({"size": 1}), "expected some of width"),
        (lambda: cup_of({"width": 1}), "expected some of radius"),
        (lambda: parse_sizes("width", "--gripper"), "name=metres"),
        (lambda: parse_sizes("width=wide", "--gripper"), "name=metres"),
        (lambda: GraspSettings(approach=(0, 0, 0)), "unit vector"),
        (lambda: GraspSettings(up=(9, 0, 0)), "unit vector"),
        (lambda: GraspSettings(best=0), "1 or more"),
    ],
)
def test_sizes_that_are_wrong_are_told(make: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()  # type: ignore[operator]


def test_pictures(scenes: list[BinScene]) -> None:
    scene = scenes[0]
    found = find_grasps(scene.depth, scene.camera, masks_of(scene))
    numbers = np.arange(1, len(scene.truth) + 1)
    tools = (Gripper(), SuctionCup())
    drawn = draw_grasps(
        scene.color, scene.truth, numbers, found.order.order, found.grasps[:3], scene.camera, tools
    )
    assert drawn.size == (1200, 900)
    assert np.asarray(drawn).std() > 10
    black = draw_grasps(None, scene.truth, numbers, found.order.order, [], scene.camera, (None, None))
    assert black.size == drawn.size
    depth = (
        np.where(np.arange(60) < 3, np.nan, 0.5 + np.arange(60) / 100).astype(np.float32)[None].repeat(40, 0)
    )
    picture = np.asarray(depth_picture(depth))
    assert picture.shape[0] == 40 and (picture[:, :3] == 0).all() and picture[20, 5, 0] > picture[20, 55, 0]
    assert np.asarray(depth_picture(np.full((9, 9), np.nan, np.float32))).shape[0] == 9
