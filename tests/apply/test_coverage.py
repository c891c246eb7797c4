"""Outlines that share borders: simplified without gaps or overlaps."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.apply.coverage import disjoint, neighbours, noded, simplified
from delineate.core.convert.shapely import to_shapely
from delineate.core.masks import Masks

LABELS = arrays(np.uint8, (12, 14), elements=st.integers(0, 4))


def parcels(seed: int = 0, size: tuple[int, int] = (80, 90), count: int = 25) -> np.ndarray:
    """Voronoi cells with frayed borders that fill the image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    y, x = y + rng.normal(0, 0.4, size), x + rng.normal(0, 0.4, size)
    at = rng.uniform(0, size, (count, 2))
    return 1 + np.argmin((y[..., None] - at[:, 0]) ** 2 + (x[..., None] - at[:, 1]) ** 2, axis=-1)


@settings(max_examples=40, deadline=None)
@given(LABELS, st.sampled_from([0.5, 1.0, 2.0]))
def test_a_coverage_stays_one(labels: np.ndarray, tolerance: float) -> None:
    exact = to_shapely(noded(Masks.from_label_image(labels).to_polygons()))
    if not len(exact):
        return
    assert shapely.coverage_is_valid(exact)
    few = simplified(exact, tolerance)
    assert shapely.coverage_is_valid(few) and shapely.is_valid(few).all()
    assert shapely.get_num_coordinates(few).sum() <= shapely.get_num_coordinates(exact).sum()


def test_no_gap_opens_between_parcels() -> None:
    exact = to_shapely(noded(Masks.from_label_image(parcels()).to_polygons()))
    few = simplified(exact, 2.0)
    union = shapely.union_all(few)
    assert len(shapely.get_parts(union)) == 1
    assert not [hole for part in shapely.get_parts(union) for hole in part.interiors]
    # no overlap: the areas add up to the union's
    assert np.isclose(shapely.area(few).sum(), union.area)
    assert shapely.get_num_coordinates(few).sum() < 0.5 * shapely.get_num_coordinates(exact).sum()


def test_each_on_its_own_would_open_gaps() -> None:
    """What the coverage is for: simplified one by one, the same parcels gape."""
    exact = to_shapely(noded(Masks.from_label_image(parcels()).to_polygons()))
    alone = shapely.simplify(exact, 2.0)
    assert not shapely.coverage_is_valid(alone)


def test_points_appear_where_three_meet() -> None:
    labels = np.array([[1, 1, 1, 1], [2, 2, 3, 3]])
    rings = [parts[0].exterior for parts in noded(Masks.from_label_image(labels).to_polygons())]
    assert [2.0, 1.0] in rings[0].tolist()
    assert shapely.coverage_is_valid(to_shapely(noded(Masks.from_label_image(labels).to_polygons())))
    assert noded([]) == [] and noded([[]]) == [[]]


def test_overlapping_masks_are_parted_by_score() -> None:
    dense = np.zeros((3, 6, 8), bool)
    dense[0, 1:4, 1:5], dense[1, 2:6, 3:8], dense[2, 0, 0] = True, True, True
    masks = Masks.from_dense(dense)
    apart, pixels = disjoint(masks, np.array([0.9, 0.4, 0.1], np.float32))
    assert pixels == 4
    assert apart[0] == masks[0] and apart[2] == masks[2]
    assert np.array_equal(apart.dense()[1], dense[1] & ~dense[0])
    none, pixels = disjoint(Masks.empty((4, 4)), np.zeros(0, np.float32))
    assert len(none) == 0 and pixels == 0


def test_clusters_of_touching_shapes() -> None:
    shapes = np.array([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6), shapely.box(1, 0, 2, 1)])
    group = neighbours(shapes)
    assert group[0] == group[2] != group[1]
    assert len(neighbours(shapes[:0])) == 0
