"""GeoJSON: exact outlines, as shapely and QuPath read them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from delineate.apply.geojson import to_geojson
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks


def ring_area(ring: list[list[float]]) -> float:
    points = np.array(ring)
    x, y = points[:, 0], points[:, 1]
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def polygons(feature: dict) -> list:
    geometry = feature["geometry"]
    return [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]


@settings(max_examples=40, deadline=None)
@given(arrays(np.bool_, (2, 7, 6)))
def test_rings_are_closed_turn_the_right_way_and_hold_the_area(dense: np.ndarray) -> None:
    found = Instances((7, 6), masks=Masks.from_dense(dense))
    collection = json.loads(json.dumps(to_geojson(found)))
    assert len(collection["features"]) == int(dense.any(axis=(1, 2)).sum())
    for feature in collection["features"]:
        area = 0.0
        for exterior, *holes in polygons(feature):
            assert exterior[0] == exterior[-1] and ring_area(exterior) > 0
            assert all(h[0] == h[-1] and ring_area(h) < 0 for h in holes)
            area += sum(ring_area(r) for r in (exterior, *holes))
        assert area == feature["properties"]["area"]


def test_a_square_with_a_hole_and_a_second_part() -> None:
    mask = np.zeros((1, 8, 9), bool)
    mask[0, 1:6, 1:6] = True
    mask[0, 3, 3] = False
    mask[0, 7, 8] = True
    found = Instances((8, 9), masks=Masks.from_dense(mask), scores=[0.5], classes=Labels(('a, "b"\n<c>',)))
    feature = to_geojson(found)["features"][0]
    assert feature["geometry"]["type"] == "MultiPolygon"
    first, second = sorted(polygons(feature), key=len, reverse=True)
    assert sorted(first[0][:-1]) == [[1, 1], [1, 6], [6, 1], [6, 6]]
    assert sorted(first[1][:-1]) == [[3, 3], [3, 4], [4, 3], [4, 4]]
    assert sorted(second[0][:-1]) == [[8, 7], [8, 8], [9, 7], [9, 8]]
    assert feature["properties"]["objectType"] == "detection"
    assert feature["properties"]["score"] == 0.5
    text = json.dumps(to_geojson(found))
    assert json.loads(text)["features"][0]["properties"]["classification"]["name"] == 'a, "b"\n<c>'
    assert len(feature["properties"]["classification"]["color"]) == 3


def test_nothing_and_boxes_only() -> None:
    assert to_geojson(Instances.empty((4, 4))) == {"type": "FeatureCollection", "features": []}
    with pytest.raises(InputError, match="geojson: expected masks"):
        to_geojson(Instances((4, 4), boxes=np.zeros((1, 4), np.float32)))
