from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.evaluate import evaluate
from delineate.engine.illustrations import Illustrations, spread
from delineate.engine.markup import Markup, joined, picture, tag
from delineate.engine.metric_registry import FULL
from delineate.engine.report import Report
from delineate.engine.svg_charts import bar, unit_chart

EVIL = "<script>alert('x')</script>&\""
CLASSES = Labels((EVIL, "cat"))
VOID = {"img", "br", "meta", "line", "rect", "circle"}


@dataclass(frozen=True)
class Sample:
    image: np.ndarray
    truth: Instances
    name: str
    image_id: int


class Samples(list[Sample]):
    classes = CLASSES

    @property
    def groups(self) -> dict[str, list[str]]:
        return {"kind": [EVIL if s.image_id % 2 else "plain" for s in self]}


def truth_of(k: int) -> Instances:
    """Six rectangles, two of them touching."""
    image = np.zeros((60, 80), np.int64)
    for n, (y, x) in enumerate(((2, 2), (2, 12), (20, 40), (40, 4), (40, 30), (40, 60)), 1):
        image[y : y + 10, x : x + 10 + k % 3] = n
    return Instances(
        image.shape, masks=Masks.from_label_image(image), labels=[0, 1, 0, 1, 0, 1], classes=CLASSES
    )


def found_of(k: int) -> Instances:
    """One missed, one of the wrong class, one in vain."""
    truth = truth_of(k)
    image = np.zeros((60, 80), np.int64)
    image[20:30, 65:75] = 1
    extra = Instances(image.shape, masks=Masks.from_label_image(image), labels=[0], classes=CLASSES)
    both = Instances.concatenate([truth[:5].replace(labels=[0, 1, 1, 1, 0]), extra])
    return both.replace(scores=[0.9, 0.8, 0.95, 0.7, 0.6, 0.85])


def samples(count: int = 3) -> Samples:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 255, (60, 80), dtype=np.uint8) for _ in range(count)]
    return Samples(Sample(pixels[k], truth_of(k), f"{EVIL}{k}.png", k) for k in range(count))


def report_of(**settings: object) -> Report:
    answers = iter([found_of(k) for k in range(3)])
    return evaluate(lambda image: next(answers), samples(), metrics=FULL, illustrated=True, **settings)  # type: ignore[arg-type]


class Tags(HTMLParser):
    """Checks that elements are closed in the order they were opened, and keeps what the page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "action", "data")]
        assert not any(k.startswith("on") for k, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen and EVIL not in page
    assert all(place.startswith(("data:image/", "#")) for place in tags.fetched)
    assert not re.search(r"url\(|@import|https?://", page)
    return tags


def test_the_page_has_all_sections_and_every_name_is_escaped(tmp_path: Path) -> None:
    report = report_of(by="kind")
    page = report.to_html()
    tags = checked(page)
    for title in (
        "Scores", "Classes", "Precision and recall", "Thresholds", "Confusion", "Kinds of errors", "Crowds",
        "Calibration", "Worst images", "Likely label errors", "Protocol",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in page
    assert "&lt;script&gt;" in page
    pictures = [place for place in tags.fetched if place.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == len(report.pictures) > 3
    assert {p.kind for p in report.pictures} == {"worst", "label error"}
    assert report.save(tmp_path / "a.html") == [tmp_path / "a.html"]
    assert (tmp_path / "a.html").read_text() == page
    assert "max_dets" in page and "detections from 0.5 on" in page
    assert report.to_json() and str(report) and report.to_csv()


@pytest.mark.parametrize("metrics", [["coco"], ["cells"], ["crowd"], ["intervals"], ["confusion", "errors"]])
def test_what_was_not_computed_is_left_out_and_nothing_found_is_shown(metrics: list[str]) -> None:
    report = evaluate(lambda image: Instances.empty(image.shape, CLASSES), samples(), metrics=metrics)
    assert "<h2>Worst images</h2>" not in report.to_html()
    checked(report.to_html())
    bare = evaluate(lambda image: found_of(0).replace(masks=None), samples(1), metrics=[*metrics, "coco"])
    checked(bare.to_html())


def test_images_that_cannot_be_read_give_no_pictures_and_a_note() -> None:
    class Truth:
        def image(self, index: int) -> np.ndarray:
            raise OSError("gone")

        def name(self, index: int) -> str:
            return "a"

    pictures = Illustrations(Truth())  # type: ignore[arg-type]
    pictures.add(found_of(0), truth_of(0), 0)
    assert pictures.pictures(None) == () and pictures.missing == 1


def test_kinds_share_the_crops_evenly() -> None:
    suspicions = report_of().total.label_errors.suspicions
    kinds = [s.kind for s in spread(suspicions, 4)]
    assert len(kinds) == 4 and len(set(kinds)) == len({s.kind for s in suspicions})
    assert spread((), 4) == []


def test_markup_escapes_what_is_no_markup() -> None:
    assert tag("td", "<b>", title='"') == '<td title="&quot;">&lt;b&gt;</td>'
    assert tag("td", tag("b", 1), class_=None) == "<td><b>1</b></td>"
    assert joined(["<", Markup("<i/>")], " ") == "&lt; <i/>"
    assert picture(b"x", "png", "<").startswith('<img src="data:image/png;base64,eA==" alt="&lt;"')
    assert "width:0.0%" in bar(float("nan"), "–") and "width:100.0%" in bar(2.0, "x")
    assert "&lt;x&gt;" in unit_chart({"<x>": [(0, 0), (1, 1)]}, across="a", up="b", title="<x>")
