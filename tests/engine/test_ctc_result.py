"""From the tracker to a result folder, scored by our own and by py-ctcmetrics."""

import contextlib
import io
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.formats.ctc import read
from delineate.engine.ctc_result import CtcFolder
from delineate.engine.evaluate_tracks import evaluate_tracks
from delineate.tracking import tracker


def erring(found: Instances, rng: np.random.Generator) -> Instances:
    """Some objects missed, some outlines cut in two."""
    assert found.masks is not None
    masks: list[Masks] = []
    for k in range(len(found)):
        draw = rng.random()
        crop, corner = found.masks.crop(k)
        if draw < 0.04:
            continue
        if draw < 0.08:
            half = np.arange(crop.shape[0])[:, None] < crop.shape[0] // 2
            masks.append(Masks.from_crops([crop & half, crop & ~half], [corner] * 2, found.size))
        else:
            masks.append(found.masks[k])
    return Instances(found.size, masks=Masks.concatenate(masks), classes=found.classes)


@pytest.fixture(scope="module")
def result(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Twelve frames of a real sequence with simulated errors, and their truth cut to them."""
    root, source = tmp_path_factory.mktemp("ctc"), data_dir / "ctc/Fluo-N2DH-SIM+/01_GT"
    truth, rng = read(source), np.random.default_rng(1)
    for part, name in (("SEG", "man_seg"), ("TRA", "man_track")):
        (root / "01_GT" / part).mkdir(parents=True)
        for t in range(12):
            shutil.copy(source / part / f"{name}{t:03d}.tif", root / "01_GT" / part)
    assert truth.lineage is not None
    lines = [f"{i} {a} {min(b, 11)} {p}\n" for i, a, b, p in truth.lineage.rows() if a < 12]
    (root / "01_GT/TRA/man_track.txt").write_text("".join(lines))
    follow = tracker("cells")
    with CtcFolder(root / "01_RES") as folder:
        for t in range(12):
            folder.add(follow.update(erring(truth[t].objects.replace(ids=None), rng)))
    return root / "01_RES", root / "01_GT"


def test_errors_of_detection_are_mended_over_time(result: tuple[Path, Path]) -> None:
    scores = evaluate_tracks(*result).scores
    assert scores["ctc/TRA"] > 0.97  # 4 % of the cells are missed and 4 % cut in two
    assert scores["ctc/SEG"] > 0.95
    assert len(read(result[0]).lineage.divisions) <= 4  # there are three


def test_py_ctcmetrics_says_the_same(result: tuple[Path, Path]) -> None:
    peer = pytest.importorskip("ctc_metrics", reason="py-ctcmetrics is not installed")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        theirs = peer.evaluate_sequence(*map(str, result), metrics=["SEG", "TRA", "DET", "LNK"], threads=1)
    ours = evaluate_tracks(*result).scores
    for name in ("SEG", "TRA", "DET", "LNK"):
        assert ours[f"ctc/{name}"] == pytest.approx(theirs[name], abs=1e-12)


def test_boxes_alone_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    follow = tracker("cells")
    with CtcFolder(tmp_path / "01_RES") as folder:
        for _ in range(2):
            folder.add(follow.update(Instances((20, 20), boxes=[[2, 2, 9, 9]])))
    assert "2 boxes alone" in caplog.text
    assert len(read(tmp_path / "01_RES")) == 2
