"""Maps, measured: outlines against true ones, areas against geodesics, change, SpaceNet's tables, end to end.

    python benchmarks/maps.py                        # all that needs no training, about half a minute
    python benchmarks/maps.py --halves halves        # the two halves of the satellite image, for training
    python benchmarks/maps.py --weights west.safetensors east.safetensors --picture map.png

Data: ``$DELINEATE_DATA/spacenet_geotiff`` (Apache-2.0). ``--halves`` writes two datasets: ``west`` learns
from the western half and is judged on the eastern, ``east`` the other way round (recipes/buildings.toml).
``--weights`` maps each half with the model that has not seen it, joins the halves' scores, draws the map.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pyproj
import shapely
from scipy import ndimage

from delineate.apply.change import changes
from delineate.apply.coverage import disjoint, noded, simplified
from delineate.apply.right_angles import square
from delineate.core.convert.shapely import from_shapely, to_shapely
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.rasters import open_raster
from delineate.data.vectors import read_layer
from delineate.data.write import write_png
from delineate.engine.geo_map import MapSettings, map_image
from delineate.engine.geo_raster import MapImage
from delineate.engine.geo_score import score_map
from delineate.metrics.spacenet import match_polygons, report_of

SCENE = Path(os.environ.get("DELINEATE_DATA", ".")) / "spacenet_geotiff"
IMAGE, TRUTH = SCENE / "sample_geotiff.tif", SCENE / "geotiff_labels.geojson"
MIDDLE = 450
SETTINGS = MapSettings(stretch=(2, 98), regularise=True, min_area=10)


def truths() -> dict[str, tuple[list, tuple[int, int]]]:
    """Footprints in pixels: the satellite image's, and three of SpaceNet's tables."""
    import csv

    csv.field_size_limit(10**9)
    with open_raster(IMAGE) as raster:
        place = raster.georeference
    assert place is not None
    own = [from_shapely(shapely.polygons(place.to_pixel(p[0].exterior))) for p in read_layer(TRUTH).shapes]
    found = {"Atlanta": (own, (900, 900))}
    with (SCENE / "SN2_sample_truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, image in (("Vegas", "AOI_2_Vegas_img3457"), ("Khartoum", "AOI_5_Khartoum_img130")):
        shapes = [from_shapely(shapely.from_wkt(r["PolygonWKT_Pix"])) for r in rows if r["ImageId"] == image]
        found[name] = (shapes, (650, 650))
    return found


def frayed(masks: Masks, noise: float, seed: int) -> Masks:
    """Masks as a network might give them: the edge wanders by so many pixels (standard deviation)."""
    rng = np.random.default_rng(seed)
    crops, corners = [], []
    for k in range(len(masks)):
        crop, (x, y) = masks.crop(k)
        crop = np.pad(crop, 6)
        inside = ndimage.distance_transform_edt(crop) - ndimage.distance_transform_edt(~crop)
        field = ndimage.gaussian_filter(rng.standard_normal(crop.shape), 3)
        crops.append(inside + field / field.std() * noise > 0)
        corners.append((x - 6, y - 6))
    return Masks.from_crops(crops, np.array(corners), masks.size)


def outlines() -> None:
    """IoU with the true polygon and points: the mask's own outline, simplified, squared."""
    print(
        "| footprints | mask's edge | mask | simplified | squared | points: mask, simplified, squared, true |"
    )
    print("|---|---|---|---|---|---|")
    for name, (shapes, size) in truths().items():
        for noise in (0.0, 1.5):
            rows = []
            for seed in range(3 if noise else 1):
                masks = Masks.from_polygons([s for s in shapes if s], size)
                kept = np.flatnonzero(np.asarray(masks.area) >= 20)
                true = to_shapely([s for s in shapes if s])[kept]
                masks = frayed(masks[kept], noise, seed) if noise else masks[kept]
                masks, _ = disjoint(masks, np.ones(len(masks), np.float32))
                exact = to_shapely(noded(masks.to_polygons()))
                few = simplified(exact, 2.0)
                right = square(few, exact, 6.0).shapes
                whole = to_shapely(masks.to_polygons())
                fits = [_iou(made, true).mean() for made in (exact, few, right)]
                points = [shapely.get_num_coordinates(made).mean() - 1 for made in (whole, few, right, true)]
                rows.append([*fits, *points])
            mean = np.mean(rows, axis=0)
            edge = f"wanders by {noise} px" if noise else "exact"
            counts = ", ".join(f"{v:.0f}" for v in mean[3:])
            print(
                f"| {name}, {len(kept)} | {edge} | "
                + " | ".join(f"{v:.3f}" for v in mean[:3])
                + f" | {counts} |"
            )


def _iou(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return shapely.area(shapely.intersection(ours, theirs)) / shapely.area(shapely.union(ours, theirs))


def areas() -> None:
    """Our areas of the true footprints against geodesic ones, and against the map's own square metres."""
    layer = read_layer(TRUTH)
    from delineate.engine.geo_table import ground_measures

    ours, _ = ground_measures(layer.shapes, 32616)
    degrees = to_shapely(layer.to(4326).shapes)
    earth = pyproj.Geod(ellps="WGS84")
    geodesic = np.array([abs(earth.geometry_area_perimeter(shape)[0]) for shape in degrees])
    grid = shapely.area(to_shapely(layer.shapes))
    print(f"areas: {ours.sum():.2f} m², geodesic {geodesic.sum():.2f}, on UTM's grid {grid.sum():.2f}; ")
    print(f"largest difference to the geodesic one {np.abs(ours / geodesic - 1).max():.1e}")


def change() -> None:
    """States found between a town and the same moved by 0 to 6 m with known changes, ten seeds each."""
    town = to_shapely(read_layer(TRUTH).shapes)
    from shapely.affinity import scale, translate

    right = total = 0
    off = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shift = rng.uniform(-4, 4, 2)
        order = rng.permutation(len(town))
        later = [translate(shape, *shift + rng.normal(0, 0.4, 2)) for shape in town]
        state = {int(k): "same" for k in order}
        for k in order[:4].tolist():
            later[k] = scale(later[k], 1.5, 1.4)
            state[k] = "changed"
        gone = set(order[4:8].tolist())
        state |= dict.fromkeys(gone, "gone")
        index = [k for k in range(len(town)) if k not in gone]
        found = changes(town, np.array([later[k] for k in index]), tolerance=2)
        off.append(np.hypot(*np.subtract(found.shift, shift)))
        seen = {int(b): s for b, s in zip(found.before, found.state, strict=True) if b >= 0}
        right += sum(seen[k] == state[k] for k in state)
        total += len(state)
    print(f"change: {right} of {total} objects in their true state; shift off by {np.mean(off):.2f} m (mean)")


def tables() -> None:
    """SpaceNet's tables and the map layers beside them."""
    found = score_map(SCENE / "SN2_sample_preds.csv", SCENE / "SN2_sample_truth.csv").report
    print(f"SpaceNet tables: {found.tp} hits, {found.fp} false, {found.fn} missed, F1 {found.f1:.4f}")


def halves(out: Path) -> None:
    """Two datasets of the two halves, each training on one."""
    with open_raster(IMAGE) as raster:
        image = MapImage(raster, SETTINGS.stretch)[0:900, 0:900]
    labels = map_image(IMAGE, labels=TRUTH).objects.masks
    assert labels is not None
    numbers = labels.to_label_image().astype(np.uint16)
    for trained in ("west", "east"):
        for folder in ("images", "labels"):
            (out / trained / folder).mkdir(parents=True, exist_ok=True)
        lines = ["id,split,modality,height,width,n_instances"]
        for half, part in (("west", slice(0, MIDDLE)), ("east", slice(MIDDLE, 900))):
            write_png(out / trained / "images" / f"{half}.png", image[:, part])
            write_png(out / trained / "labels" / f"{half}.png", numbers[:, part])
            count = len(np.unique(numbers[:, part])) - 1
            lines.append(f"{half},{'train' if half == trained else 'val'},panchromatic,900,450,{count}")
        (out / trained / "split.csv").write_text("\n".join(lines) + "\n")


def end_to_end(weights: list[Path], picture: Path | None, confidence: float) -> None:
    """Each half mapped by the model that has not seen it; SpaceNet's F1 of the polygons."""
    from delineate.engine.load import load

    models = dict(zip(("west", "east"), [load(weights=path) for path in weights], strict=True))
    unseen = {"west": models["east"], "east": models["west"]}
    seen = _scores(models, confidence)[0]
    report, result, seconds = _scores(unseen, confidence)
    print(f"learnt half: F1 {seen.f1:.3f} ({seen.tp} hits, {seen.fp} false, {seen.fn} missed)")
    print(f"unseen half: F1 {report.f1:.3f} ({report.tp} hits, {report.fp} false, {report.fn} missed)")
    print(f"image to map in {seconds:.1f} s")
    if picture is not None:
        from delineate.engine.geo_picture import map_picture, sheet_of
        from delineate.engine.geo_views import overview_of

        map_picture(sheet_of(result, "sample_geotiff.tif"), overview_of(IMAGE, SETTINGS)).save(picture)


def _scores(models: dict, confidence: float) -> tuple:
    """The image mapped with one model for each half, and its score."""

    def predict(window: np.ndarray) -> Instances:
        west = models["west"].predict(window[:, :MIDDLE], confidence=confidence)
        east = models["east"].predict(window[:, MIDDLE:], confidence=confidence)
        size = window.shape[:2]
        masks = Masks.concatenate([west.masks.shift(0, 0, size), east.masks.shift(MIDDLE, 0, size)])
        return Instances(
            size, masks=masks, scores=np.concatenate((west.scores, east.scores)), classes=west.classes
        )

    started = time.perf_counter()
    result = map_image(IMAGE, model=predict, settings=SETTINGS)
    seconds = time.perf_counter() - started
    true = read_layer(TRUTH).shapes
    match = match_polygons(result.layer.shapes, true, result.table["score"])
    return report_of([match.counts], min_area=0), result, seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--halves", type=Path, help="write the two halves here, and no more")
    parser.add_argument("--weights", type=Path, nargs=2, help="of the models trained on west and east")
    parser.add_argument("--confidence", type=float, default=0.25)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    if not IMAGE.is_file():
        parser.error(f"{IMAGE}: expected the data there; set DELINEATE_DATA")
    if given.halves is not None:
        halves(given.halves)
        return
    if given.weights is not None:
        end_to_end(given.weights, given.picture, given.confidence)
        return
    outlines()
    areas()
    change()
    tables()


if __name__ == "__main__":
    main()
