"""The zoo is a table that can be read without torch."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torchvision.models import detection

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.models import zoo
from delineate.models.zoo import ZOO, Entry, build, find


def test_listing_the_zoo_imports_no_torch() -> None:
    code = "import sys, delineate.models.zoo as z; assert z.ZOO; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ZOO)
def test_every_builder_exists(name: str) -> None:
    assert callable(find(name).load_builder())


PUBLISHED = {
    "maskrcnn_resnet50_fpn_coco": detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    "maskrcnn_resnet50_fpn_v2_coco": detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    "fasterrcnn_resnet50_fpn_coco": detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    "fasterrcnn_resnet50_fpn_v2_coco": detection.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
}


@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if entry.url])
def test_published_addresses_are_torchvisions(name: str) -> None:
    entry, published = find(name), PUBLISHED[name]
    assert entry.url == published.url
    assert entry.url.endswith(f"-{entry.sha256}.pth")
    # torchvision counts in MiB
    assert entry.megabytes == pytest.approx(published.meta["_file_size"] * 1.048576, abs=0.1)
    scores = published.meta["_metrics"]["COCO-val2017"]
    assert entry.summary.endswith(f"AP {scores.get('mask_map', scores['box_map'])}")


def test_each_entry_says_what_it_is() -> None:
    for entry in ZOO.values():
        assert entry.summary
        assert entry.licence
        assert entry.source in ("embedded", "download", "none")
        assert (entry.megabytes > 0) == (entry.source != "none")


def test_the_embedded_weights_are_the_ones_named() -> None:
    entry = ZOO["nuclei"]
    file = Path(zoo.__file__).parents[1] / "weights" / str(entry.file)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    assert file.stat().st_size / 1e6 == pytest.approx(entry.megabytes, abs=0.1)
    assert file.stat().st_size <= 12e6


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://a/b", "sha256": "12345678", "file": "b"},
        {"url": "https://a/b"},
        {"url": "https://a/b", "sha256": "1234567"},
        {"url": "https://a/b", "sha256": "not hex!"},
        {"url": "https://a/b", "sha256": "0" * 65},
    ],
)
def test_a_wrong_entry_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="zoo entry"):
        Entry(builder="a:b", summary="wrong", **wrong)  # type: ignore[arg-type]


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'nucleii'.*try nuclei"):
        find("nucleii")
    with pytest.raises(InputError, match="mask_rcnn"):
        find("")


def test_settings_go_before_the_entrys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up_family")
    module.build = lambda **settings: SimpleNamespace(**settings)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_family", module)
    entry = Entry("made_up_family:build", "a test", kwargs={"classes": Labels(("a",)), "width": 8})
    monkeypatch.setitem(zoo.ZOO, "made-up", entry)
    built: Any = build("made-up", width=16)
    assert (built.width, built.classes.names) == (16, ("a",))
