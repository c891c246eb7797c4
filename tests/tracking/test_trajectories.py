import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.synthetic.traffic import CLASSES as STREET
from delineate.data.synthetic.traffic import TrafficSettings, traffic
from delineate.tracking.feet import covered, feet
from delineate.tracking.ground import Camera, Ground
from delineate.tracking.middles import middles
from delineate.tracking.participants import CAR, CYCLE, LORRY, OBJECT, PERSON, participant
from delineate.tracking.sightings import Seen
from delineate.tracking.smooth import SmoothSettings
from delineate.tracking.trajectories import TrajectorySettings, trajectories

CLASSES = Labels(("car", "person"))
SIZE = (1080, 1920)
GROUND = Ground.of_camera(Camera((1000.0, 1000.0), (959.5, 539.5), 5.0, pitch=10.0))


FEET = TrajectorySettings(middles=False)


def film(ways, frames=60, rate=30.0, noise=0.0, missing=(), ground=GROUND):
    """Boxes that stand where ``ways(t)`` (N, 2) says, in metres or pixels; ids from 1."""
    seen, rng = Seen(CLASSES), np.random.default_rng(0)
    for frame in range(frames):
        place = np.asarray(ways(frame / rate), float)
        foot = place if ground is None else ground.to_image(place)
        foot = foot + rng.normal(0, noise, foot.shape) if noise else foot
        boxes = np.column_stack([foot[:, 0] - 15, foot[:, 1] - 40, foot[:, 0] + 15, foot[:, 1]])
        ids = np.arange(1, len(foot) + 1)
        keep = [(frame, i) not in missing for i in ids.tolist()]
        found = Instances(SIZE, boxes=boxes[keep], ids=ids[keep], labels=ids[keep] % 2, classes=CLASSES)
        seen.add(frame, frame / rate, found)
    return seen


def two(t):
    return [[20 + 8 * t, 2.0], [15.0, -4 + 1.5 * t]]


def test_speeds_and_headings_on_the_ground():
    found = trajectories(film(two, noise=0.5), GROUND, FEET)
    rows = found.rows[found.rows["frame"].between(15, 45)]
    for track, speed, heading in ((1, 8.0, 0.0), (2, 1.5, 90.0)):
        own = rows[rows["track"] == track]
        np.testing.assert_allclose(own["speed_m_s"], speed, atol=0.35)
        np.testing.assert_allclose(own["heading_deg"], heading, atol=5)
        t = own["time_s"].to_numpy()
        np.testing.assert_allclose(own["x_m"], [two(s)[track - 1][0] for s in t], atol=0.15)
        np.testing.assert_allclose(own["y_m"], [two(s)[track - 1][1] for s in t], atol=0.15)
    assert found.rows.attrs["units"]["acceleration_m_s2"] == "m/s^2"
    assert found.participants["class"].tolist() == ["person", "car"]
    np.testing.assert_allclose(found.participants["path_m"], [8 * 59 / 30, 1.5 * 59 / 30], rtol=0.05)


def test_braking_is_negative_acceleration():
    def way(t):
        return [[20 + 15 * t - 1.5 * t**2, 0.0]]

    found = trajectories(film(way, frames=90), GROUND)
    middle = found.rows[found.rows["frame"].between(25, 65)]
    np.testing.assert_allclose(middle["acceleration_m_s2"], -3.0, atol=0.5)


def test_turn_rates_are_counter_clockwise():
    def way(t):
        return [[20 + 6 * np.sin(t), 6 * (1 - np.cos(t))]]  # 6 m/s, 1 rad/s to the left

    found = trajectories(film(way, frames=60), GROUND)
    middle = found.rows[found.rows["frame"].between(20, 40)]
    np.testing.assert_allclose(middle["turn_deg_s"], np.degrees(1), rtol=0.15)


def test_who_stands_has_no_heading():
    found = trajectories(film(lambda t: [[20.0, 2.0]], noise=0.5), GROUND)
    assert found.rows["heading_deg"].isna().mean() > 0.9
    assert found.rows["speed_m_s"].median() < 0.3


def test_gaps_are_told_as_not_seen_and_long_ones_left_out():
    gone = {(k, 1) for k in range(20, 30)}
    found = trajectories(film(two, missing=gone), GROUND, FEET)
    own = found.rows[found.rows["track"] == 1]
    assert len(own) == 60 and own.loc[~own["seen"], "frame"].tolist() == list(range(20, 30))
    assert own.loc[~own["seen"], ["score", "foot_x_px"]].isna().all().all()
    np.testing.assert_allclose(own["x_m"], 20 + 8 * own["time_s"], atol=0.1)
    brief = trajectories(film(two, missing=gone), GROUND, TrajectorySettings(gap=0.2))
    assert len(brief.rows[brief.rows["track"] == 1]) == 50


def test_in_the_image_headings_are_for_the_eye():
    found = trajectories(film(lambda t: [[400.0, 800 - 60 * t]], ground=None))  # up the picture
    assert found.length == "px" and not len(found.encounters)
    np.testing.assert_allclose(found.rows["heading_deg"], 90, atol=2)
    np.testing.assert_allclose(found.rows["speed_px_s"].iloc[20:40], 60, rtol=0.05)


def test_on_course_to_collide():
    found = trajectories(film(lambda t: [[20 + 8 * t, 0.0], [48.8, 0.1]], frames=45), GROUND, FEET)
    row = found.rows[(found.rows["track"] == 1) & (found.rows["frame"] == 15)].iloc[0]
    gap = 48.8 - 24.0 - (CAR.length + PERSON.length) / 2
    assert row["ttc_with"] == 2 and row["ttc_s"] == pytest.approx(gap / 8, rel=0.05)
    assert found.encounters["ttc_s"].iloc[0] < row["ttc_s"]


def test_nothing_seen():
    for ground in (None, GROUND):
        found = trajectories(Seen(CLASSES), ground)
        assert not len(found.rows) and not len(found.participants) and not len(found.forecasts)
    only = Seen(CLASSES)
    only.add(0, 0.0, Instances.empty(SIZE, CLASSES))
    assert not len(trajectories(only, GROUND).rows)


def test_what_floats_in_the_sky_has_no_row_on_the_ground():
    seen = Seen(CLASSES)
    for k in range(5):
        boxes = [[100, 10, 140, 60], [900, 700, 940, 800]]
        seen.add(k, k / 10, Instances(SIZE, boxes=boxes, ids=[1, 2], classes=CLASSES))
    assert trajectories(seen, GROUND).rows["track"].unique().tolist() == [2]


def test_order_of_objects_does_not_matter():
    seen, turned = Seen(CLASSES), Seen(CLASSES)
    rng = np.random.default_rng(0)
    for k in range(12):
        corner = rng.uniform(300, 800, (4, 2))
        objects = Instances(SIZE, boxes=np.hstack([corner, corner + 40]), ids=[4, 9, 2, 7], classes=CLASSES)
        seen.add(k, k / 30, objects)
        turned.add(k, k / 30, objects[rng.permutation(4)])
    assert trajectories(seen, GROUND).rows.equals(trajectories(turned, GROUND).rows)


def test_frames_may_come_at_any_pace():
    seen = Seen(CLASSES)
    times = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.09, 60))
    for k, t in enumerate(times.tolist()):
        x, y = GROUND.to_image([[20 + 8 * t, 2.0]])[0]
        seen.add(k, t, Instances(SIZE, boxes=[[x - 15, y - 40, x + 15, y]], ids=[3], classes=CLASSES))
    np.testing.assert_allclose(trajectories(seen, GROUND).rows["speed_m_s"].iloc[10:50], 8, atol=0.1)


def test_feet_of_masks():
    dense = np.zeros((2, 60, 80), bool)
    dense[0, 10:50, 20:24] = True  # tall, with an arm to the right
    dense[0, 20:24, 24:40] = True
    dense[1, 30:40, 50:75] = True  # wide
    points, spread = feet(Instances((60, 80), masks=Masks.from_dense(dense)))
    middle = (40 * 4 * 22 + 4 * 16 * 32) / (160 + 64)
    np.testing.assert_allclose(points, [[middle, 50], [62.5, 40]])
    assert (spread > 0).all()


def test_what_the_edge_cuts_is_less_certain():
    boxes = [[100, 100, 140, 200], [100, 980, 140, 1080], [0, 100, 40, 200]]
    _, spread = feet(Instances(SIZE, boxes=boxes))
    assert spread[1, 1] > 5 * spread[0, 1] and spread[2, 0] > 5 * spread[0, 0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("car", CAR), ("Pedestrian", PERSON), ("person on vehicle", CYCLE), ("rider", CYCLE), ("bus", LORRY),
        ("cyclist", CYCLE), ("Truck", LORRY), ("motorcycle", CYCLE), ("nucleus", OBJECT), ("", OBJECT),
        ("person_sitting", PERSON), ("caravan", LORRY), ("van", CAR), ("other vehicle", CAR),
    ],
)  # fmt: skip
def test_kinds(name, kind):
    assert participant(name) is kind


def test_a_foot_behind_another_object_is_not_believed():
    """A car's lower half behind a lorry that stands nearer; the lorry's own foot and a far one are seen."""
    dense = np.zeros((3, 60, 80), bool)
    dense[0, 10:20, 20:40] = True
    dense[1, 20:50, 15:45] = True
    dense[2, 5:12, 60:70] = True
    objects = Instances((60, 80), masks=Masks.from_dense(dense))
    assert covered(objects).tolist() == [True, False, False]
    assert not covered(objects.replace(masks=None)).any() and not covered(objects[:1]).any()


def test_middles_of_footprints():
    """A car that drives ahead, one across, one of unknown heading; against the lowest corner of its box."""
    size = np.array([[4.4, 1.8]] * 3)
    camera = Camera((1000.0, 1000.0), (959.5, 539.5), 5.0, pitch=10.0)
    for heading, reach in ((0.0, 2.2), (np.pi / 2, 0.9), (np.nan, 1.55)):
        foot = GROUND.to_image([[20.0 - reach, 0.0]])
        found = middles(GROUND, foot, np.array([heading]), size[:1])
        np.testing.assert_allclose(found, [[20.0, 0.0]], atol=1e-6)
    rng = np.random.default_rng(0)
    turn, place = rng.uniform(-3, 3, 40), rng.uniform((20, -6), (50, 6), (40, 2))
    for heading, middle in zip(turn, place, strict=True):
        c, s = np.cos(heading), np.sin(heading)
        box = np.array([[2.2, 0.9], [2.2, -0.9], [-2.2, -0.9], [-2.2, 0.9]]) @ np.array([[c, s], [-s, c]])
        solid = [
            np.column_stack([box + middle, np.full((4, 2), (z, 1))]) @ camera.projection.T for z in (0, 1.5)
        ]
        pixels = np.concatenate([p[:, :2] / p[:, 2:] for p in solid])
        foot = [[(pixels[:, 0].min() + pixels[:, 0].max()) / 2, pixels[:, 1].max()]]
        found = middles(GROUND, np.array(foot), np.array([heading]), size[:1])[0]
        assert np.linalg.norm(found - middle) < 0.45  # the foot alone is up to 2.4 m away
    assert np.isnan(middles(GROUND, np.array([[960.0, 10.0]]), np.zeros(1), size[:1])).all()


def test_a_street_whose_speeds_are_known():
    """Traffic before a camera, seen by its exact masks: places to decimetres, speeds to a few per cent."""
    camera = Camera((900.0, 900.0), (639.5, 359.5), 6.0, pitch=12.0)
    street = traffic(camera.projection, 5, TrafficSettings(frames=75, participants=8))
    seen, true = Seen(STREET), {}
    for frame in street:
        seen.add(frame.number, frame.time, frame.truth)
        for k, number in enumerate(frame.truth.ids.tolist()):
            true[frame.number, number] = frame.states[k]
    rows = trajectories(seen, Ground.of_camera(camera)).rows
    rows = rows[rows["foot_seen"]]
    states = np.array([true[key] for key in zip(rows["frame"], rows["track"], strict=True)])
    off = np.hypot(rows["x_m"] - states[:, 0], rows["y_m"] - states[:, 1])
    assert np.median(off) < 0.25
    assert np.median(np.abs(rows["speed_m_s"] - states[:, 3])) < 0.15
    turned = (rows["heading_deg"] - np.degrees(states[:, 2]) + 180) % 360 - 180
    assert np.nanmedian(np.abs(turned)) < 3


def test_wrong_input_is_told():
    seen = Seen(CLASSES)
    seen.add(0, 1.0, Instances.empty(SIZE, CLASSES))
    with pytest.raises(InputError, match="in order"):
        seen.add(1, 1.0, Instances.empty(SIZE, CLASSES))
    with pytest.raises(InputError, match="ids"):
        seen.add(1, 2.0, Instances(SIZE, boxes=[[0, 0, 1, 1]], classes=CLASSES))
    with pytest.raises(InputError, match="classes"):
        seen.add(1, 2.0, Instances(SIZE, boxes=[[0, 0, 1, 1]], ids=[1]))
    with pytest.raises(InputError, match="finite settings"):
        TrajectorySettings(gap=-1)
    assert SmoothSettings().memory > 0
