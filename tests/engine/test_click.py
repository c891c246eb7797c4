import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import CheckpointError, InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.engine.click import Clicker, NetworkLook, load_clicker, look_by_regions, save_clicks
from delineate.engine.click_training import ClickSamples, ClickSettings, train_clicks
from delineate.engine.click_view import View, hint_maps
from delineate.metrics.clicks import Click
from delineate.models.click_net import ClickNet

REGIONS = Clicker(look_by_regions)


def disc(size, x, y, radius):
    rows, columns = np.mgrid[: size[0], : size[1]]
    return (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 < radius**2


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 300), width=st.integers(20, 300), x=st.floats(0, 1), y=st.floats(0, 1),
    radius=st.integers(6, 40), margin=st.floats(1.2, 4),
)  # fmt: skip
def test_a_mask_seen_in_a_view_comes_back(height, width, x, y, radius, margin):
    truth = disc((height, width), x * width, y * height, radius)
    mask = Masks.from_dense(truth[None])
    if mask.area[0] < 100:
        return
    box = mask.boxes[0].tolist()
    view = View.around(box, margin, 24, (height, width))
    assert view.x0 <= box[0] and box[2] <= view.x0 + view.side and box[3] <= view.y0 + view.side
    back = view.to_image(view.see(mask), mask.size)
    assert back.iou(mask)[0, 0] > (0.97 if view.side <= view.out else 0.85)


@pytest.mark.parametrize("shape", [(200, 300), (60, 90, 3), (30, 30), (1500, 1600)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_view_shows_the_image_where_it_lies(shape, kind):
    image = np.zeros(shape, kind)
    rows, columns = shape[0] // 2, shape[1] // 3
    image[rows - 5 : rows + 5, columns - 5 : columns + 5] = 200
    for least in (40, 128, 700):
        view = View.around((columns, rows, columns, rows), 1, least, shape[:2])
        seen = view.pixels(image)
        assert seen.shape == (3, 128, 128) and np.isfinite(seen).all()
        bright = np.argwhere(seen[0] > 1)
        at = view.at(columns, rows)
        assert np.abs(bright.mean(axis=0) + 0.5 - at[::-1]).max() < 1.5


def test_hints_are_where_they_were_given():
    maps = hint_maps(32, [Click(4.5, 9.5), Click(20.5, 3.5, False)], None, (2, 3, 10, 11))
    assert maps[0, 9, 4] == 1 and maps[1, 3, 20] == 1 and maps[2].sum() == 0 and maps[3].sum() == 64
    assert maps[0].sum() == maps[1].sum() < 40


def test_objects_of_any_size_are_found_and_corrected():
    image = np.full((900, 1200), 30, np.uint8)
    small, large = disc(image.shape, 100, 120, 6), disc(image.shape, 600, 500, 220)
    image[small], image[large] = 160, 220
    for truth, click in ((small, Click(100.5, 120.5)), (large, Click(600.5, 500.5))):
        found = REGIONS.segment(image, [click])
        assert found.iou(Masks.from_dense(truth[None]))[0, 0] > 0.85
    both = REGIONS.segment(image, [Click(600.5, 500.5)], before=found)
    assert both.iou(found)[0, 0] > 0.9


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_click_is_kept_to_whatever_the_network_says(data):
    torch.manual_seed(0)
    clicker = Clicker(NetworkLook(ClickNet((8, 8)).eval()))
    image = np.random.default_rng(1).integers(0, 255, (70, 90), dtype=np.uint8)
    points = data.draw(
        st.lists(st.tuples(st.integers(0, 8), st.integers(0, 6)), min_size=1, max_size=6, unique=True)
    )
    clicks = [
        Click(10 * x + 4.5, 10 * y + 4.5, k == 0 or data.draw(st.booleans()))
        for k, (x, y) in enumerate(points)
    ]
    found = clicker.segment(image, clicks).dense()[0]
    assert all(found[int(c.y), int(c.x)] == c.positive for c in clicks)


@pytest.mark.parametrize(
    ("clicks", "more", "told"),
    [
        ([], {}, "expected a point"),
        ([Click(5, 5, False)], {}, "expected a point"),
        ([Click(50.5, 5)], {}, "on the image of 50 x 40"),
        ([Click(float("nan"), 5)], {}, "on the image"),
        ([Click(5, 5)], {"box": (3, 3, 3, 9)}, "a box"),
        ([Click(5, 5)], {"before": Masks.empty((40, 50))}, "expected one mask"),
    ],
)
def test_what_cannot_be_clicked_is_refused(clicks, more, told):
    with pytest.raises(InputError, match=told):
        REGIONS.segment(np.zeros((40, 50), np.uint8), clicks, **more)


class Discs:
    """Three pictures of discs."""

    groups: dict = {}  # noqa: RUF012

    def __len__(self):
        return 3

    def __getitem__(self, index):
        truth = disc((90, 110), 40 + 10 * index, 45, 14)
        image = np.where(truth, 200, 40).astype(np.uint8)

        class Sample:
            pass

        sample = Sample()
        sample.image, sample.truth = image, Instances(truth.shape, masks=Masks.from_dense(truth[None]))
        return sample


def test_training_learns_and_its_weights_are_read_back(tmp_path):
    torch.manual_seed(0)
    settings_ = ClickSettings(minutes=0.05, out=32, batch_size=2)
    net = ClickNet((8, 12))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    steps = train_clicks(net, ClickSamples([(Discs(), 1.0)], settings_), settings_)
    assert steps > 0 and any(not torch.equal(v, before[k]) for k, v in net.state_dict().items())
    path = tmp_path / "click.safetensors"
    save_clicks(net, path, "discs", "CC0-1.0")
    again = load_clicker(path)
    mask = again.segment(Discs()[0].image, [Click(40.5, 45.5)])
    assert mask.size == (90, 110) and mask.dense()[0, 45, 40]


def test_other_weights_are_refused(tmp_path):
    import safetensors.torch

    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match="click network"):
        load_clicker(path)
