"""SpaceNet's score: the challenge's own tables, and masks."""

import csv
from pathlib import Path

import numpy as np
import pytest
import shapely

from delineate.core.convert.shapely import from_shapely
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.engine.geo_score import score_map
from delineate.metrics.spacenet import SpaceNet, match_footprints, match_polygons


def rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**9)
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_challenges_counts(data_dir: Path) -> None:
    folder = data_dir / "spacenet_geotiff"
    found = score_map(folder / "SN2_sample_preds.csv", folder / "SN2_sample_truth.csv")
    for row in rows(folder / "SN2_test_results_full.csv"):
        expected = tuple(int(row[key]) for key in ("TruePos", "FalsePos", "FalseNeg"))
        assert found.images[row["imageID"]].counts == expected
    towns = rows(folder / "SN2_test_results.csv")
    for town, row in zip(("Vegas", "Khartoum"), towns, strict=True):
        counts = np.sum([m.counts for name, m in found.images.items() if town in name], axis=0)
        assert counts.tolist() == [int(row[key]) for key in ("TruePos", "FalsePos", "FalseNeg")]
        assert 2 * counts[0] / (2 * counts[0] + counts[1] + counts[2]) == pytest.approx(float(row["F1Score"]))


def test_the_challenges_iou_of_every_building(data_dir: Path) -> None:
    folder = data_dir / "spacenet_geotiff"
    tables = [rows(folder / f"SN2_sample_{name}.csv") for name in ("preds", "truth", "iou_by_building")]
    images = sorted({row["ImageId"] for row in tables[1]})
    compared = 0
    for image in images:
        predicted, true, table = ([row for row in t if row["ImageId"] == image] for t in tables)
        shapes = [
            [from_shapely(shapely.from_wkt(row["PolygonWKT_Pix"])) for row in t] for t in (predicted, true)
        ]
        match = match_polygons(shapes[0], shapes[1])
        assert np.allclose(match.iou, [float(row["iou_score"]) for row in table], atol=1e-12)
        compared += len(table)
    assert compared == 172


def test_map_layers(data_dir: Path) -> None:
    folder = data_dir / "spacenet_geotiff"
    found = score_map(folder / "pred.geojson", folder / "gt.geojson")
    assert (found.report.tp, found.report.fp, found.report.fn) == (8, 20, 20)
    assert score_map(folder / "gt.geojson", folder / "gt.geojson").report.f1 == 1


def masks(*boxes: tuple[int, int, int, int]) -> Masks:
    dense = np.zeros((len(boxes), 40, 60), bool)
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        dense[k, y0:y1, x0:x1] = True
    return Masks.from_dense(dense)


def test_masks_and_polygons_agree() -> None:
    rng = np.random.default_rng(0)
    at = rng.integers(0, 30, (2, 8, 2))
    ours, theirs = (masks(*[(x, y, x + 9, y + 7) for x, y in part.tolist()]) for part in at)
    scores = rng.permutation(8) / 10 + 0.1
    metric = SpaceNet(threshold=0.3)
    metric.update(Instances((40, 60), masks=ours, scores=scores), Instances((40, 60), masks=theirs))
    report = metric.compute()
    match = match_polygons(ours.to_polygons(), theirs.to_polygons(), scores, 0.3)
    assert (report.tp, report.fp, report.fn) == match.counts


def test_the_surest_prediction_chooses_first() -> None:
    pairs = ([0, 1], [0, 0], [0.6, 0.9])
    assert match_footprints(pairs, (2, 1)).partner.tolist() == [0, -1]
    assert match_footprints(pairs, (2, 1), [0.1, 0.8]).partner.tolist() == [-1, 0]


def test_small_true_footprints_are_not_asked_for() -> None:
    metric = SpaceNet()
    truth = Instances((40, 60), masks=masks((0, 0, 4, 4), (10, 10, 20, 20)))
    metric.update(Instances((40, 60), masks=masks((10, 10, 20, 20))), truth)
    assert metric.compute().scores == {"F1": 1.0, "precision": 1.0, "recall": 1.0, "F1_by_image": 1.0}


def test_crowds_empty_images_and_shards() -> None:
    empty = Instances.empty((40, 60))
    one, other = SpaceNet(), SpaceNet()
    one.update(empty, empty, 1)
    crowd = Instances((40, 60), masks=masks((0, 0, 30, 30)), crowd=np.array([True]))
    other.update(Instances((40, 60), masks=masks((2, 2, 12, 12))), crowd, 2)
    one.merge(other)
    report = one.compute()
    assert (report.images, report.tp, report.fp, report.fn, report.f1) == (2, 0, 0, 0, 0.0)
    with pytest.raises(InputError, match="image 2 in both"):
        one.merge(other)
    with pytest.raises(InputError, match="twice"):
        one.update(empty, empty, 2)
    with pytest.raises(InputError, match="one size"):
        one.update(Instances.empty((4, 4)), empty)
    with pytest.raises(InputError, match="threshold"):
        SpaceNet(0)
    assert SpaceNet().compute().f1 == 0


def test_nothing_on_either_side() -> None:
    assert match_polygons([], []).counts == (0, 0, 0)
    assert match_polygons([from_shapely(shapely.box(0, 0, 1, 1))], []).counts == (0, 1, 0)


def test_bad_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ImageId,PolygonWKT_Pix\nx,POLYGON ((0 0\n")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="line 2"):
        score_map(tmp_path / "a.csv", tmp_path / "a.csv")
    with pytest.raises(InputError, match="columns ImageId"):
        score_map(tmp_path / "b.csv", tmp_path / "b.csv")
    with pytest.raises(InputError, match="two map layers or two"):
        score_map(tmp_path / "a.csv", tmp_path / "x.gpkg")
