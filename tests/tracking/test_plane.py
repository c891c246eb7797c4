"""A camera that rides on a car: places and speeds on the ground that stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.engine.pose_files import read_poses
from delineate.tracking.ground import Camera, Ground
from delineate.tracking.plane import Plane
from delineate.tracking.sightings import Seen
from delineate.tracking.trajectories import TrajectorySettings, trajectories

SIZE = (720, 1280)
GROUND = Ground.of_camera(Camera((900.0, 900.0), (639.5, 359.5), 1.65))
CLASSES = Labels(("car",))
FEET = TrajectorySettings(middles=False)


def ride(frames: int = 60, rate: float = 30.0) -> np.ndarray:
    """A car that drives at 8 m/s and turns to the left."""
    t = np.arange(frames) / rate
    turn = 0.3
    return np.column_stack([8 / turn * np.sin(turn * t), 8 / turn * (1 - np.cos(turn * t)), turn * t])


def watched(poses: np.ndarray, ways) -> Seen:
    """What its camera sees of places ``ways(t)`` on the ground that stays."""
    seen = Seen(CLASSES)
    for k, (x, y, heading) in enumerate(poses):
        c, s = np.cos(heading), np.sin(heading)
        local = (np.asarray(ways(k / 30), float) - (x, y)) @ np.array([[c, -s], [s, c]])
        foot = GROUND.to_image(local)
        boxes = np.column_stack([foot[:, 0] - 9, foot[:, 1] - 20, foot[:, 0] + 9, foot[:, 1]])
        ids = np.arange(1, len(foot) + 1)
        seen.add(k, k / 30, Instances(SIZE, boxes=boxes, ids=ids, classes=CLASSES))
    return seen


def two(t: float) -> list[list[float]]:
    return [[40.0, 6.0], [20 + 10 * t, 2.0]]  # one parks, one drives at 10 m/s


def test_who_parks_stands_still() -> None:
    poses = ride()
    found = trajectories(watched(poses, two), Plane(GROUND, poses), FEET).rows
    for track, speed in ((1, 0.0), (2, 10.0)):
        own = found[(found["track"] == track) & found["frame"].between(10, 50)]
        np.testing.assert_allclose(own["speed_m_s"], speed, atol=0.3)
        where = np.array([two(t)[track - 1] for t in own["time_s"]])
        np.testing.assert_allclose(own[["x_m", "y_m"]], where, atol=0.3)
    relative = trajectories(watched(poses, two), GROUND, FEET).rows
    assert relative.loc[relative["track"] == 1, "speed_m_s"].median() > 7


def test_middles_turn_with_the_camera() -> None:
    plane = Plane(GROUND, np.array([[0, 0, 0], [3, 4, np.pi / 2]]))
    foot = GROUND.to_image([[20.0, 0.0]]).repeat(2, axis=0)
    size = np.array([[4.4, 1.8]] * 2)
    ahead = plane.middles(foot, np.array([0, np.pi / 2]), size, np.array([0, 1]))
    np.testing.assert_allclose(ahead, [[22.2, 0], [3, 26.2]], atol=1e-6)
    spread = plane.covariance(foot, np.ones((2, 2)), np.array([0, 1]))
    np.testing.assert_allclose(spread[1], spread[0][::-1, ::-1] * [[1, -1], [-1, 1]], atol=1e-9)


def test_poses_of_another_film_are_refused() -> None:
    with pytest.raises(InputError, match="60 frames"):
        trajectories(watched(ride(), two), Plane(GROUND, ride(50)))
    with pytest.raises(InputError, match="finite"):
        Plane(GROUND, np.full((3, 3), np.nan))


def test_files_of_poses(tmp_path: Path) -> None:
    """KITTI's matrices and a table tell the same ride."""
    poses = ride(5)
    kitti = []
    for x, y, h in poses:
        c, s = np.cos(h), np.sin(h)
        kitti.append([c, 0, -s, -y, 0, 1, 0, 0, s, 0, c, x])  # x right is -y, z ahead is x
    np.savetxt(tmp_path / "kitti.txt", kitti)
    rows = [f"{10 + k},{x},{y},{np.degrees(h)}" for k, (x, y, h) in enumerate(poses)]
    (tmp_path / "table.csv").write_text("frame,x,y,heading\n" + "\n".join(rows) + "\n")
    np.testing.assert_allclose(read_poses(tmp_path / "kitti.txt", range(5)), poses, atol=1e-9)
    np.testing.assert_allclose(read_poses(tmp_path / "table.csv", range(10, 15)), poses, atol=1e-9)
    assert read_poses(tmp_path / "table.csv", [12]).shape == (1, 3)
    with pytest.raises(InputError, match="such as 3"):
        read_poses(tmp_path / "table.csv", [3])


@pytest.mark.parametrize("content", ["", "1 2 3\n", "1 2 3 4\n1 2\n", "frame x y heading\n", "1 2 3 nan\n"])
def test_no_poses(content: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=r"poses\.txt"):
        read_poses(path, [1])
