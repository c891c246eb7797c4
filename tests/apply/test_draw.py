"""Pictures: what is drawn where, for any image and any objects."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from delineate.apply.cutouts import cutouts
from delineate.apply.draw import display, html, overlay
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks


def two_squares(size: tuple[int, int] = (40, 60), classes: int = 1) -> Instances:
    labels = np.zeros(size, dtype=np.int32)
    labels[5:25, 5:25] = 1
    labels[5:25, 25:45] = 2
    names = Labels(tuple(f"c{k}" for k in range(classes)))
    return Instances(size, masks=Masks.from_label_image(labels), labels=[0, classes - 1], classes=names)


@pytest.mark.parametrize(
    "image",
    [
        np.full((40, 60), 90, np.uint8),
        np.full((40, 60, 1), 90, np.uint8),
        np.full((40, 60, 3), 90, np.uint8),
        np.full((40, 60, 4), 90, np.uint8),
        np.full((40, 60, 2), 90, np.uint8),
        np.arange(2400, dtype=np.uint16).reshape(40, 60),
        np.linspace(0, 1e-3, 2400, dtype=np.float32).reshape(40, 60),
        np.zeros((40, 60), bool),
        None,
    ],
)
def test_any_image_is_drawn_on_at_its_size(image: np.ndarray | None) -> None:
    picture = overlay(two_squares(), image)
    assert (picture.mode, picture.size) == ("RGB", (60, 40))


def test_outlines_lie_on_the_objects_own_edge_and_the_rest_is_untouched() -> None:
    image = np.full((40, 60), 100, np.uint8)
    drawn = np.asarray(overlay(two_squares(), image)).astype(int)
    outside = np.ones((40, 60), bool)
    outside[5:25, 5:45] = False
    assert (drawn[outside] == 100).all()
    left, right = drawn[10, 24], drawn[10, 25]
    assert (left != right).any() and (left == drawn[5, 5]).all()  # touching objects keep two outlines
    inner = drawn[10, 15]
    assert (inner != 100).any() and np.abs(inner - 100).max() <= 0.25 * 155 + 1


def test_overlapping_masks_show_both_outlines() -> None:
    dense = np.zeros((2, 40, 40), bool)
    dense[0, 5:35, 5:35] = True
    dense[1, 20:38, 20:38] = True
    drawn = np.asarray(overlay(Instances((40, 40), masks=Masks.from_dense(dense))))
    outline = drawn[5, 10]
    assert (drawn[34, 25] == outline).all()  # the big one's edge under the small one
    assert (drawn[37, 37] == drawn[20, 25]).all()


def test_one_class_gives_each_object_a_colour_several_each_class() -> None:
    one = np.asarray(overlay(two_squares()))
    assert (one[5, 5] != one[5, 44]).any()
    several = two_squares(classes=3).replace(labels=[1, 1])
    drawn = np.asarray(overlay(several))
    assert (drawn[24, 5] == drawn[24, 44]).all()
    assert (drawn[24, 5] == several.classes.colors[1]).all()


def test_few_objects_are_written_on_and_many_are_not() -> None:
    few = two_squares((200, 200), classes=2).replace(scores=[0.9, 0.5])
    labels = np.kron(np.arange(1, 65).reshape(8, 8), np.ones((25, 25), int)) * np.kron(
        np.ones((8, 8), int), np.pad(np.ones((21, 21), int), 2)
    )
    many = Instances((200, 200), masks=Masks.from_label_image(labels), scores=np.full(64, 0.7))
    assert (np.asarray(overlay(few))[:5, :45] > 0).any()
    assert (np.asarray(overlay(many))[labels == 0] == 0).all()


def test_names_that_cannot_be_drawn_do_no_harm() -> None:
    names = Labels(("line\nbreak\x00 " * 30, "语言 \u202e"))
    found = two_squares((300, 300)).replace(classes=names, labels=[0, 1], scores=[0.3, 0.4])
    assert overlay(found).size == (300, 300)


def test_boxes_nothing_and_specks() -> None:
    boxes = Instances((20, 30), boxes=np.array([[2.5, 3, 12, 15], [5, 5, 5, 5]], np.float32))
    assert np.asarray(overlay(boxes)).any()
    assert not np.asarray(overlay(Instances.empty((5, 6)))).any()
    speck = Instances((1, 1), masks=Masks.from_dense(np.ones((1, 1, 1), bool)))
    assert overlay(speck, np.zeros((1, 1), np.uint8)).size == (1, 1)


def test_another_images_size_is_refused() -> None:
    with pytest.raises(InputError, match="overlay: expected the image of the objects"):
        overlay(two_squares(), np.zeros((10, 10), np.uint8))
    with pytest.raises(InputError, match="cutouts: expected the image of the objects"):
        next(cutouts(two_squares(), np.zeros((10, 10), np.uint8)))
    with pytest.raises(InputError):
        display(np.zeros(5))


def test_the_notebook_figure_stands_alone_and_escapes_names() -> None:
    found = two_squares((900, 1300), classes=1).replace(classes=Labels(("<script>alert(1)</script>",)))
    text = html(found)
    assert text.startswith("<figure") and "<script" not in text
    assert "&lt;script&gt;" in text and "<td>2</td>" in text
    data = text.split("base64,")[1].split('"')[0]
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert max(picture.size) == 640
    assert "0 objects" in html(Instances.empty((4, 4)))
    assert found._repr_html_() == text


def test_crops_show_the_object_and_nothing_else() -> None:
    image = np.arange(2400, dtype=np.uint16).reshape(40, 60)
    image = (image / 10).astype(np.uint8)
    masks = Masks.from_label_image(np.pad(np.eye(4, dtype=int), ((5, 31), (7, 49))) * 3, ids=[3, 9])
    cut = dict(cutouts(Instances((40, 60), masks=masks), image))
    assert list(cut) == [0]  # the empty mask has no picture
    pixels = np.asarray(cut[0])
    assert cut[0].mode == "RGBA"
    assert (pixels[:, :, 3] == np.eye(4) * 255).all()
    assert (pixels[:, :, 0] == image[5:9, 7:11]).all()
    boxed = dict(cutouts(Instances((40, 60), boxes=np.array([[1.2, 2, 5.5, 4]], np.float32)), image))
    assert boxed[0].size == (5, 2)
