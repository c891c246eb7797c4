"""Runs over chunks without Ray: the same files as one go, each image once, whatever was cut off."""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.ndimage
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.errors import InputError, MissingDependencyError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.images import write_png
from delineate.engine.cluster import commits
from delineate.engine.cluster.commits import CommitLog
from delineate.engine.cluster.parquet import common_kinds, parquet_bytes, with_kinds
from delineate.engine.cluster.places import Place, as_written, filesystem
from delineate.engine.cluster.predict import predict_cluster
from delineate.engine.cluster.ray_data import Cluster, connected
from delineate.engine.cluster.sources import rows_of
from delineate.engine.cluster.watch import Watch
from delineate.engine.large import predict_large
from delineate.engine.predict_many import predict_many


class Bright:
    """Finds bright regions; as a model, and as a callable."""

    name = "bright"
    seen = 0

    def predict(self, pixels, **_):
        Bright.seen += 1
        grey = np.atleast_3d(pixels).max(axis=2)
        found, count = scipy.ndimage.label(grey > 100)
        scores = np.linspace(1, 0.5, max(count, 1))[:count]
        return Instances(grey.shape, scores=scores, masks=Masks.from_label_image(found))

    __call__ = predict


def image(seed, colour=False):
    random = np.random.default_rng(seed)
    pixels = np.zeros((40, 50), np.uint8)
    for _ in range(random.integers(0, 5)):
        y, x = random.integers(4, 30, 2)
        pixels[y : y + 5, x : x + 6] = random.integers(120, 250)
    return np.stack([pixels, pixels // 2, 255 - pixels // 2 - 155], axis=2) if colour else pixels


@pytest.fixture
def images(tmp_path):
    """Grey and colour images, a stack of pages, one without objects, one that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(6):
        write_png(folder / f"{k}.png", image(k, colour=k == 4))
    tifffile.imwrite(
        folder / "pages.tif", np.stack([image(k) for k in range(7, 10)]), photometric="minisblack"
    )
    write_png(folder / "empty.png", np.zeros((20, 20), np.uint8))
    (folder / "wrong.png").write_bytes(b"not an image")
    return folder


def files(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "_cluster" not in str(p.relative_to(folder))
    }


SAVE = "coco,labels,csv,parquet,geojson,zarr"


def test_chunks_leave_the_files_of_predict(images, tmp_path):
    plain = predict_many(images, tmp_path / "plain", Bright(), save=SAVE)
    report = predict_cluster(images, tmp_path / "out", Bright(), save=SAVE, chunk=2)
    assert (report.images, report.objects) == (plain.images, plain.objects) == (10, plain.objects)
    assert [Path(one["file"]).name for one in report.failed] == ["wrong.png"]
    one, two = files(tmp_path / "plain"), files(tmp_path / "out")
    predict_cluster(images, tmp_path / "out", Bright(), save=SAVE, chunk=2, resume=True)
    assert files(tmp_path / "out") == two
    table = pd.read_parquet(tmp_path / "out" / "measurements.parquet")
    whole = pd.read_parquet(tmp_path / "plain" / "measurements.parquet")
    pd.testing.assert_frame_equal(table.drop(columns="counts"), whole)  # grey and colour have other columns
    lines = pd.read_parquet(tmp_path / "out" / "images.parquet")
    csv = pd.read_csv(tmp_path / "plain" / "images.csv")
    assert len(lines) == len(csv) and lines["count"].sum() == csv["count"].sum()
    assert "wrong.png" in (tmp_path / "out" / "skipped.csv").read_text()
    parts = [name for name in two if name.split("/")[0] in ("measurements.parquet", "images.parquet")]
    for name in (*parts, "skipped.csv"):
        del two[name]
    del one["measurements.parquet"], one[".predict.journal"]
    failed = ("images.csv",)  # names the failed file by its whole path in both
    assert {k: v for k, v in one.items() if k not in failed} == {
        k: v for k, v in two.items() if k not in failed
    }


def test_masks_come_back_from_the_partitions(images, tmp_path):
    predict_cluster(images, tmp_path / "out", Bright())
    table = pd.read_parquet(tmp_path / "out" / "measurements.parquet")
    of = table[table["image"] == "1.png"]
    runs = [{"size": [40, 50], "counts": counts} for counts in of["counts"]]
    found = Masks.from_rle(runs, (40, 50))
    assert found.dense().sum((1, 2)).tolist() == of["area"].tolist() and len(of)


def test_shards_and_uris_are_folders_like_any_other(images, tmp_path):
    (images / "wrong.png").unlink()
    with tarfile.open(tmp_path / "shard-00.tar", "w") as shard:
        for path in sorted(images.iterdir())[:4]:
            shard.add(path, f"train/{path.name}")
        shard.add(__file__, "train/1.json")
    with tarfile.open(tmp_path / "shard-01.tar", "w") as shard:
        for path in sorted(images.iterdir())[4:]:
            shard.add(path, f"../{path.name}")
    predict_cluster(images, tmp_path / "folder", Bright(), save="labels,csv")
    shards = str(tmp_path / "shard-{00..01}.tar")
    predict_cluster(shards, tmp_path / "shards", Bright(), save="labels,csv")
    predict_cluster(images.as_uri(), (tmp_path / "uri").as_uri(), Bright(), save="labels,csv")
    assert files(tmp_path / "uri") == files(tmp_path / "folder")
    one, two = (pd.read_csv(tmp_path / f / "measurements.csv") for f in ("folder", "shards"))
    pd.testing.assert_frame_equal(one, two)


def test_results_go_to_a_place_that_is_not_a_folder(images, tmp_path):
    report = predict_cluster(images, "memory://bucket/out", Bright(), save=SAVE, chunk=2)
    predict_cluster(images, tmp_path / "out", Bright(), save=SAVE, chunk=2)
    system, root = filesystem("memory://bucket/out")
    found = {name.removeprefix(root).lstrip("/"): system.cat_file(name) for name in system.find(root)}
    there = {name: data for name, data in found.items() if not name.startswith("_cluster")}
    assert there == files(tmp_path / "out")
    assert report.files["csv"] == "memory://bucket/out/measurements.csv"
    with pytest.raises(InputError, match="these settings"):
        CommitLog(Place("memory://bucket/out"), {"other": 1}, resume=True)
    system.rm("/bucket", recursive=True)


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[3])
import test_cluster_predict as here
from delineate.engine.cluster import commits
commits.EVERY = 0
class Slow(here.Bright):
    def predict(self, pixels, **_):
        time.sleep(0.1)
        return super().predict(pixels)
here.predict_cluster(sys.argv[1], sys.argv[2], Slow(), save="parquet,labels", chunk=1)
"""


def test_a_driver_that_is_killed_is_taken_up_again(tmp_path):
    (tmp_path / "images").mkdir()
    for k in range(12):
        write_png(tmp_path / "images" / f"{k}.png", image(k))
    once, twice = tmp_path / "once", tmp_path / "twice"
    places = [str(tmp_path / "images"), str(twice), str(Path(__file__).parent)]
    run = subprocess.Popen([sys.executable, "-c", KILLED, *places])
    while run.poll() is None and len(list((twice / "_cluster" / "log").glob("*.jsonl"))) < 4:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    done = len(list((twice / "_cluster" / "log").glob("*.jsonl"))) - 1
    assert 3 <= done < 12, "the run was over before it was killed"
    (twice / "measurements.parquet" / "000000-of-a-worker-that-died.parquet").write_bytes(b"half")
    images = tmp_path / "images"
    with pytest.raises(InputError, match="--resume"):
        predict_cluster(images, twice, Bright(), save="parquet,labels", chunk=1)
    with pytest.raises(InputError, match=r"\(confidence\)"):
        predict_cluster(images, twice, Bright(), save="parquet,labels", chunk=1, resume=True, confidence=0.3)
    Bright.seen, told = 0, []
    begin = lambda *numbers: told.append(numbers)  # noqa: E731
    report = predict_cluster(
        images, twice, Bright(), save="parquet,labels", chunk=1, resume=True, begin=begin
    )
    assert Bright.seen == 12 - done and told == [(12, done)] and report.known == done
    predict_cluster(images, once, Bright(), save="parquet,labels", chunk=1)
    assert files(once) == files(twice)
    Bright.seen = 0
    again = predict_cluster(images, twice, Bright(), save="parquet,labels", chunk=1, resume=True)
    assert Bright.seen == 0 and again.objects == report.objects


def test_slides_are_joined_as_if_one_had_looked_at_all(tmp_path):
    picture = np.zeros((700, 900), np.uint8)
    random = np.random.default_rng(2)
    for _ in range(60):
        y, x = random.integers(0, 660, 2)
        picture[y : y + 30, x : x + 25] = random.integers(120, 250)
    (tmp_path / "slides").mkdir()
    for name in ("a.tif", "b.ome.tif"):
        tifffile.imwrite(tmp_path / "slides" / name, picture, tile=(64, 64))
    write_png(tmp_path / "slides" / "small.png", image(1))
    cut = {"tile": 400, "save": ("csv", "labels", "parquet")}
    for name in ("a.tif", "b.ome.tif"):
        predict_large(Bright(), tmp_path / "slides" / name, tmp_path / "plain", confidence=0.5, **cut)
    report = predict_cluster(
        tmp_path / "slides", tmp_path / "out", Bright(), save="csv,labels,parquet", large=100_000, tile=400,
    )  # fmt: skip
    assert report.images == 3 and len([k for k in report.files if "a.tif" in k]) == 3
    one, two = files(tmp_path / "plain"), files(tmp_path / "out")
    for name, data in one.items():
        if not name.endswith(".done.json"):
            assert two[name] == data, name


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("tar", "tar archive without compression"),
        ("nothing", "expected a file, folder or pattern"),
        ("uri", "expected images or shards"),
        ("protocol", "expected a package for its protocol|expected a place"),
        ("same", "expected another folder"),
    ],
)
def test_wrong_sources_are_told_before_anything_is_begun(what, match, images, tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"\x1f\x8b not a tar")
    empty = tmp_path / "void"
    empty.mkdir()
    given = {
        "tar": tmp_path / "bad.tar",
        "nothing": tmp_path / "nowhere",
        "uri": empty.as_uri(),
        "protocol": "nosuch://bucket/a",
        "same": images,
    }[what]
    out = images if what == "same" else tmp_path / "out"
    with pytest.raises((InputError, MissingDependencyError), match=match):
        predict_cluster(str(given), out, Bright())


def test_two_drivers_cannot_write_one_log(tmp_path):
    place = Place(str(tmp_path))
    first, second = CommitLog(place, {"a": 1}), CommitLog(place, {"a": 1}, resume=True)
    assert first.add(0, {"rows": [0]}) and not first.add(0, {"rows": [0]})
    first.commit()
    second.add(0, {"rows": [0]})
    with pytest.raises(InputError, match="only run into this folder"):
        second.commit()
    lines = [
        json.loads(text) for p in sorted(tmp_path.rglob("*.jsonl")) for text in p.read_text().splitlines()
    ]
    assert [one.get("chunk") for one in lines] == [None, 0]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.integers(0, 1), max_size=4), min_size=1, max_size=5))
def test_partitions_of_other_columns_become_one_table(shape):
    tables = [
        {"columns": {"a": list(range(len(some))), **({"b": [0.5] * len(some)} if sum(some) else {})},
         "kinds": {"a": "i", **({"b": "f"} if sum(some) else {})}}
        for some in shape
    ]  # fmt: skip
    made = [parquet_bytes([table], lambda _: ("", "")) for table in tables]
    kinds = common_kinds(one for _, one in made)
    whole = pd.concat([pd.DataFrame(table["columns"]) for table in tables], ignore_index=True)
    read = [
        pd.read_parquet(__import__("io").BytesIO(with_kinds(data, kinds, lambda _: ("", ""))))
        for data, _ in made
    ]
    assert all(list(part.columns) == list(kinds) for part in read)
    joined = pd.concat(read, ignore_index=True)
    assert joined["a"].tolist() == whole["a"].tolist()
    if "b" in whole:
        assert joined["b"].isna().tolist() == whole["b"].isna().tolist()


def test_a_row_is_given_up_when_two_workers_died_with_it_in_hand():
    watch = Watch()
    assert watch.begin(3) == (1, {})
    assert watch.begin(3) == (2, {})  # the first death: nobody knows of which row
    watch.hand(3, 70)
    assert watch.begin(3) == (3, {})
    watch.hand(3, 70)
    attempt, lost = watch.begin(3)
    assert attempt == 4 and list(lost) == [70] and "died 2 times" in lost[70]
    watch.hand(3, 71)
    watch.end(3)
    watch.slow(72, 9)
    assert "within 9 seconds" in watch.begin(4)[1][72]


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"gpus": -1}, {"limit": 0}, {"address": ""}, {"limit": float("nan")}]
)
def test_clusters_that_cannot_be(wrong):
    with pytest.raises(InputError):
        Cluster(**wrong)


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("ray://127.0.0.1:{port}", "expected a Ray cluster there, got Connection refused; start one"),
        ("127.0.0.1:{port}", "expected a Ray cluster there, got Connection refused; start one"),
        ("127.0.0.1", "expected local, auto, host:6379 or ray://host:10001"),
        ("ray://127.0.0.1:door", "expected local, auto, host:6379 or ray://host:10001"),
        ("127.0.0.1:99999", "expected local, auto, host:6379 or ray://host:10001"),
    ],
)
def test_a_cluster_that_is_not_there_is_told_at_once(address, match):
    pytest.importorskip("ray")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        given = Cluster(address.format(port=nobody.getsockname()[1]))
        with pytest.raises(InputError, match=match), connected(given):
            pass


def test_places_are_named_as_they_were_typed():
    assert as_written(Path("s3://bucket/a")) == "s3://bucket/a"
    assert as_written(Path("a/b")) == "a/b" and commits.FOLDER.startswith("_")


def test_rows_know_where_their_bytes_are(tmp_path):
    write_png(tmp_path / "a.png", image(1))
    with tarfile.open(tmp_path / "s.tar", "w") as shard:
        shard.add(tmp_path / "a.png", "x/a.png")
    rows = rows_of([str(tmp_path / "a.png"), str(tmp_path / "s.tar")], None)
    start, size = rows[1]["offset"], rows[1]["size"]
    assert (tmp_path / "s.tar").read_bytes()[start : start + size] == (tmp_path / "a.png").read_bytes()
    assert [row["stem"] for row in rows] == ["a", "a-2"]
    assert os.path.basename(rows[1]["file"]) == "a.png"  # noqa: PTH119
