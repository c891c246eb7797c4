"""Workers that die in mid-run, and an image that kills whoever looks at it: on real workers of Ray."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delineate.data.images import write_png
from delineate.engine.cluster.predict import predict_cluster
from delineate.engine.cluster.ray_data import Cluster, connected

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # Ray starts processes anew, which takes a busy machine minutes
    pytest.mark.filterwarnings("ignore"),  # Ray's own, and those of processes that were killed
]
POISON, DEATH = 250, 252


@pytest.fixture(scope="module")
def cluster():
    chosen = Cluster(workers=2, limit=600)
    with connected(chosen):
        yield chosen


def _model(folder):
    """Finds bright squares; dies, or once only dies, where an image's first pixel says so."""

    class Model:
        name = "bright"

        def predict(self, pixels, **_):
            import signal
            from pathlib import Path

            import scipy.ndimage

            from delineate.core.instances import Instances
            from delineate.core.masks import Masks

            sign = int(pixels[0, 0])
            if sign == POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            if sign == DEATH:
                try:
                    (Path(folder) / f"died-{int(pixels[0, 1])}").touch(exist_ok=False)
                except FileExistsError:
                    pass  # the first to look has died; the second is well
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            found, count = scipy.ndimage.label(pixels[2:] > 100)
            whole = np.zeros(pixels.shape, np.int32)
            whole[2:] = found
            scores = np.linspace(1, 0.5, max(count, 1))[:count]
            return Instances(pixels.shape, scores=scores, masks=Masks.from_label_image(whole))

    return Model()


def _image(path, seed, sign=0):
    random = np.random.default_rng(seed)
    pixels = np.zeros((40, 50), np.uint8)
    for _ in range(random.integers(0, 5)):
        y, x = random.integers(4, 30, 2)
        pixels[y : y + 5, x : x + 6] = random.integers(120, 250)
    pixels[0, :2] = sign, seed
    write_png(path, pixels)


def _files(folder):
    """Every file of the results by its name, but the log, whose parts depend on the clock."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "_cluster/log" not in str(p)
    }


def test_workers_die_and_nothing_is_lost_doubled_or_blamed_wrongly(cluster, tmp_path):
    images, innocent = tmp_path / "images", tmp_path / "innocent"
    for folder in (images, innocent):
        folder.mkdir()
        for k in range(16):
            if folder == images or k not in (2, 7):
                _image(folder / f"{k:02d}.png", k, {2: POISON, 11: DEATH}.get(k, 0))
    (images / "07.png").write_bytes(b"not an image")
    model, save = _model(tmp_path), "parquet,csv,coco,labels"
    report = predict_cluster(images, tmp_path / "out", model, cluster, save=save, chunk=8)
    assert (tmp_path / "died-11").exists()  # a worker was killed that looked at an innocent image
    told = {Path(one["file"]).name: (one["lost"], one["reason"]) for one in report.failed}
    assert {name: lost for name, (lost, _) in told.items()} == {"02.png": True, "07.png": False}
    assert "its worker died 2 times" in told["02.png"][1] and report.images == 14
    predict_cluster(innocent, tmp_path / "alone", model, None, save=save, chunk=8)
    for name in ("measurements.parquet", "images.parquet"):
        got, wanted = (pd.read_parquet(tmp_path / f / name) for f in ("out", "alone"))
        if name == "images.parquet":
            assert got["image"].is_unique and (got["status"] == "failed").sum() == 2
            got = got[got["status"] == "done"].reset_index(drop=True)[wanted.columns]
            got = got.astype(wanted.dtypes)
        pd.testing.assert_frame_equal(got, wanted)
    got, wanted = _files(tmp_path / "out"), _files(tmp_path / "alone")
    same = [name for name in wanted if name.endswith((".labels.tif", "predictions.json", "measurements.csv"))]
    assert len(same) == 16 and all(got[name] == wanted[name] for name in same)
    assert [name for name in got if name.endswith(".labels.tif")] == [s for s in same if s.endswith(".tif")]
    skipped = pd.read_csv(tmp_path / "out" / "skipped.csv")
    assert sorted(skipped["status"]) == ["failed", "lost"]
