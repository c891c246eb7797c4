"""Workers that die in mid-run, and an image that kills whoever looks at it: on real workers of Ray."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delineate.data.images import write_png
from delineate.engine.cluster.predict import predict_cluster
from delineate.engine.cluster.ray_data import Cluster, connected

cloudpickle = pytest.importorskip("ray.cloudpickle")
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


class Fragile:
    """A model; the first process to which it is sent dies of it, as one that has not enough memory for it."""

    def __init__(self, model, folder):
        self.model, self.folder = model, folder

    def __reduce__(self):
        return _dying, (self.model, self.folder, os.getpid())


def _dying(model, folder, driver):
    import signal
    from pathlib import Path

    sign = Path(folder) / "died-beginning"
    if os.getpid() != driver and not sign.exists():
        sign.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return model


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


AFAR = """
import sys
from ray import cloudpickle
from delineate.engine.cluster.predict import predict_cluster
from delineate.engine.cluster.ray_data import Cluster
images, out, port, model = sys.argv[1:]
cluster = Cluster(f"ray://127.0.0.1:{port}", workers=2)
with open(model, "rb") as file:
    report = predict_cluster(images, out, cloudpickle.load(file), cluster, save="parquet,csv,labels", chunk=4)
print(report.images, len(report.failed))
"""


def test_a_driver_elsewhere_gets_the_same_files(cluster, tmp_path):
    from ray.util.client.server.server import serve

    (tmp_path / "images").mkdir()
    for k in range(12):
        _image(tmp_path / "images" / f"{k:02d}.png", k, DEATH if k == 5 else 0)
    (tmp_path / "model").write_bytes(cloudpickle.dumps(_model(tmp_path)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve("127.0.0.1", port)  # what `ray start --head` begins beside a cluster
    try:
        words = [str(tmp_path / name) for name in ("images", "there")] + [str(port), str(tmp_path / "model")]
        done = subprocess.run(
            [sys.executable, "-c", AFAR, *words], stdout=subprocess.PIPE, text=True, timeout=900, check=False
        )
    finally:
        server.stop(0)
    assert (done.returncode, done.stdout) == (0, "12 0\n")
    assert (tmp_path / "died-5").exists()  # a worker was killed meanwhile
    save = "parquet,csv,labels"
    predict_cluster(tmp_path / "images", tmp_path / "here", _model(tmp_path), None, save=save, chunk=4)
    assert _files(tmp_path / "there") == _files(tmp_path / "here")


def test_workers_die_and_nothing_is_lost_doubled_or_blamed_wrongly(cluster, tmp_path):
    images, innocent = tmp_path / "images", tmp_path / "innocent"
    for folder in (images, innocent):
        folder.mkdir()
        for k in range(16):
            if folder == images or k not in (2, 7):
                _image(folder / f"{k:02d}.png", k, {2: POISON, 11: DEATH}.get(k, 0))
    (images / "07.png").write_bytes(b"not an image")
    model, save = _model(tmp_path), "parquet,csv,coco,labels"
    fragile = Fragile(model, tmp_path)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    report = predict_cluster(images, tmp_path / "out", fragile, cluster, save=save, chunk=8)
    assert (tmp_path / "died-beginning").exists()
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
