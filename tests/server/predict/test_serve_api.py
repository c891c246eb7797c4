"""The API from the outside: every format, every refusal."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

import delineate as dl
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.server.predict.formats import choose, safe_cell
from delineate.server.predict.limits import Limits, RefusedError
from delineate.server.predict.logs import JsonLines


def test_an_upload_gives_what_the_model_finds_in_python(
    page: TestClient, tiny: Path, kit: SimpleNamespace
) -> None:
    data = kit.picture()
    want = dl.load(tiny).predict(data, confidence=0.0)
    answer = page.post("/api/predict?confidence=0", files={"image": ("a.png", data)})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["width"], told["height"], told["count"]) == (80, 64, len(want)) and len(want) > 0
    masks = Masks.from_rle([each["mask"] for each in told["objects"]], (64, 80))
    assert want.masks is not None and masks == want.masks
    assert [each["label"] for each in told["objects"]] == list(range(1, len(want) + 1))
    assert (
        answer.headers["x-content-type-options"] == "nosniff"
        and "model;dur=" in answer.headers["server-timing"]
    )


@pytest.mark.parametrize("way", ["raw", "form", "json", "curl"])
def test_an_image_may_come_in_several_ways(page: TestClient, kit: SimpleNamespace, way: str) -> None:
    data = kit.picture()
    sent: dict[str, Any] = {
        "raw": {"content": data, "headers": {"content-type": "image/png"}},
        "curl": {"content": data, "headers": {"content-type": "application/x-www-form-urlencoded"}},
        "form": {"files": {"image": ("../../x", data)}, "data": {"confidence": "0.2"}},
        "json": {"json": {"image": base64.b64encode(data).decode(), "confidence": 0.2}},
    }[way]
    want = page.post("/api/predict?confidence=0.2", content=data).json()
    assert page.post("/api/predict?confidence=0.2", **sent).json() == want


def test_every_format_says_the_same(page: TestClient, tiny: Path, kit: SimpleNamespace) -> None:
    data = kit.picture()
    want = dl.load(tiny).predict(data, confidence=0.0)

    def ask(kind: str) -> Any:
        by_name = page.post(f"/api/predict?confidence=0&format={kind}", content=data)
        assert by_name.status_code == 200, by_name.text
        media = by_name.headers["content-type"]
        by_accept = page.post("/api/predict?confidence=0", content=data, headers={"accept": media})
        assert by_accept.content == by_name.content and by_accept.headers["content-type"] == media
        return by_name.content

    labels = imagecodecs.png_decode(ask("labels"))
    assert labels.dtype == np.uint16 and np.array_equal(labels, want.to_label_image())
    overlay = imagecodecs.png_decode(ask("overlay"))
    assert np.array_equal(overlay, np.asarray(want.plot(imagecodecs.png_decode(data))))
    coco = json.loads(ask("coco"))
    assert coco == json.loads(json.dumps(want.to_coco(image_id=1)))
    rows = pd.read_csv(io.BytesIO(ask("csv")))
    assert rows["area"].tolist() == want.masks.area.tolist() and "intensity_mean" in " ".join(rows.columns)
    features = json.loads(ask("geojson"))["features"]
    assert [f["properties"]["label"] for f in features] == list(range(1, len(want) + 1))
    assert json.loads(ask("json"))["count"] == len(want)


def test_an_image_without_objects_has_an_answer_in_every_format(
    page: TestClient, kit: SimpleNamespace
) -> None:
    for kind in ("json", "coco", "geojson", "labels", "overlay", "csv"):
        answer = page.post(f"/api/predict?confidence=1&format={kind}", content=kit.picture())
        assert answer.status_code == 200, (kind, answer.text)
    assert page.post("/api/predict?confidence=1", content=kit.picture()).json()["objects"] == []


@pytest.mark.parametrize(
    ("accept", "want"),
    [
        (None, "json"),
        ("*/*", "json"),
        ("image/png", "labels"),
        ("image/png; content=overlay", "overlay"),
        ("text/csv;q=0.5, application/geo+json", "geojson"),
        ("text/html, text/csv;q=0.1", "csv"),
        ("application/json;q=0, image/*", "labels"),
        ("text/html", None),
        ("", "json"),
    ],
)
def test_accept_chooses_the_format(accept: str | None, want: str | None) -> None:
    if want is None:
        with pytest.raises(RefusedError) as refused:
            choose(None, accept)
        assert refused.value.status == 406
    else:
        assert choose(None, accept) == want


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"content": b""}, 422, "empty file"),
        ({"content": b"hello"}, 422, "expected PNG, JPEG"),
        ({"content": b"x", "headers": {"content-type": "text/html"}}, 415, "Content-Type"),
        ({"json": {"image": "@@@@"}}, 400, "image: expected base64"),
        ({"json": {}}, 422, "image or image_url"),
        ({"json": {"image": "", "imgsz": 1000000}}, 422, "imgsz"),
        ({"json": {"image": "", "confidence": 99}}, 422, "confidence"),
        ({"json": {"image_url": "http://2130706433:9/"}}, 400, "not fetched here"),
        ({"files": {"file": ("a", b"x")}}, 422, "parts named image"),
        ({"data": {"confidence": "1"}, "files": {"image": ("a", b"x")}}, 422, "expected PNG"),
        ({"files": [("image", ("a", b"x")), ("image", ("b", b"x"))]}, 400, "files"),
        ({"params": {"model": "../../etc/passwd"}, "content": b"x"}, 404, "expected one of tiny"),
        ({"params": {"confidence": "nan"}, "content": b"x"}, 422, "confidence"),
        ({"params": {"channels": "1,2"}, "content": b"x"}, 422, "channels"),
        ({"params": {"colour": "1"}, "content": b"x"}, 422, "colour"),
    ],
)
def test_refusals_name_the_field(page: TestClient, request_: dict[str, Any], status: int, says: str) -> None:
    answer = page.post("/api/predict", **request_)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert says in answer.json()["error"], answer.text


def test_corpus_of_requests(page: TestClient, bad_inputs: Path) -> None:
    wanted = {
        "base64_bomb_png.json": {413, 422},
        "base64_invalid.json": {400},
        "deep_nesting.json": {400},
        "imgsz_1e6.json": {422},
        "model_path_traversal.json": {404, 422},
        "multipart_filename_traversal.txt": {400, 422},
        "multipart_never_ends.txt": {400},
        "threshold_out_of_range.json": {422},
        "url_file_scheme.json": {400},
        "url_loopback_decimal.json": {400},
        "url_metadata_service.json": {400},
        "url_userinfo_confusion.json": {400},
    }
    for name, statuses in wanted.items():
        kind = "multipart/form-data; boundary=B" if name.endswith("txt") else "application/json"
        body = (bad_inputs / "server" / name).read_bytes()
        answer = page.post("/api/predict", content=body, headers={"content-type": kind})
        assert answer.status_code in statuses, (name, answer.status_code, answer.text)
        assert "\n" not in answer.json()["error"] and len(answer.json()["error"]) < 500
    assert not Path("/tmp/seg_bad_input_escaped").exists()
    assert page.get("/health/ready").json()["ok"]


def test_corpus_of_images(page: TestClient, bad_inputs: Path) -> None:
    """No file of them stops the server; each is answered with its objects or with one line."""
    for path in sorted((bad_inputs / "images").iterdir()):
        answer = page.post("/api/predict", content=path.read_bytes())
        assert answer.status_code in (200, 422), (path.name, answer.text)
        if answer.status_code == 422:
            assert answer.json()["error"].startswith("image"), answer.text
    assert page.app.state.service.live  # type: ignore[attr-defined]


def test_limits_are_told_by_their_statuses(
    make_page: Callable[..., TestClient], kit: SimpleNamespace
) -> None:
    page = make_page(limits={"max_bytes": 20_000, "max_pixels": 5000})
    small, large = kit.picture(size=(60, 80)), kit.picture(size=(64, 80))
    assert page.post("/api/predict", content=small).status_code == 200
    pixels = page.post("/api/predict", content=large)
    assert pixels.status_code == 422 and "megapixels" in pixels.json()["error"]

    def parts() -> Any:
        for _ in range(30):
            yield b"x" * 1000

    for content in (b"x" * 20_001, parts()):  # told beforehand, and found out on the way
        answer = page.post("/api/predict", content=content)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    figures = page.get("/metrics").text
    assert 'delineate_refused_total{reason="bytes"} 2.0' in figures
    assert 'delineate_refused_total{reason="pixels"} 1.0' in figures


def test_limits_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="--queue: expected 1 or more, got 0"):
        Limits(queue=0)


def test_tokens_and_roles(make_page: Callable[..., TestClient], tmp_path: Path, kit: SimpleNamespace) -> None:
    import hashlib

    plain, hashed = "p" * 20, "sha256:" + hashlib.sha256(b"a" * 20).hexdigest()
    path = tmp_path / "tokens.txt"
    path.write_text(f"# who may ask\nlab predict {plain}\n\nops admin {hashed}\n")
    page = make_page(tokens=path)
    lab, ops = ({"authorization": f"Bearer {token}"} for token in (plain, "a" * 20))
    nobody = page.get("/api/models")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert page.get("/api/models", headers={"authorization": f"Bearer {hashed}"}).status_code == 401
    assert page.post("/api/predict", content=kit.picture(), headers=lab).status_code == 200
    assert page.post("/api/models/tiny/reload", headers=lab).status_code == 403
    assert page.post("/api/models/tiny/reload", headers=ops).status_code == 200
    assert page.get("/metrics").status_code == 401 and page.get("/health/live").status_code == 200
    tokens = page.app.state.service.tokens  # type: ignore[attr-defined]
    path.write_text("lab admin short\n")
    with pytest.raises(InputError, match="line 1: expected a token of 16"):
        tokens.refresh()
    assert page.get("/api/models", headers=lab).status_code == 200  # a damaged file leaves the old tokens
    path.write_text(f"ops admin {hashed}\n# and no other\n")
    assert tokens.refresh() and page.get("/api/models", headers=lab).status_code == 401


def test_other_sites_and_other_hosts(make_page: Callable[..., TestClient], tiny: Path) -> None:
    from delineate.server.predict.app import create_app
    from delineate.server.predict.launch import Settings, open_service

    app = create_app(open_service(Settings((f"tiny={tiny}",))), ("127.0.0.1", "localhost"), watch=0)
    with TestClient(app, base_url="http://127.0.0.1") as page:
        assert page.get("/api/models").status_code == 200
        assert page.get("/api/models", headers={"host": "evil.example:80"}).status_code == 403
        cross = {"sec-fetch-site": "cross-site"}
        assert page.post("/api/predict", content=b"x", headers=cross).status_code == 403


def test_other_machines_need_a_token(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from delineate.server.predict.launch import Settings, open_service

    monkeypatch.delenv("DELINEATE_TOKEN", raising=False)
    with pytest.raises(InputError, match="expected --token or --tokens where other machines"):
        open_service(Settings((f"tiny={tiny}",), host="0.0.0.0"))


def test_the_log_tells_nothing_of_an_image(
    page: TestClient, kit: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    data = kit.picture()
    with caplog.at_level(logging.DEBUG, logger="delineate.serve"):
        page.post("/api/predict?model=Mueller-Anna", files={"image": ("Mueller-Anna.png", data)})
        page.post(
            "/api/predict", files={"image": ("Mueller-Anna.png", data)}, headers={"x-request-id": "r.1"}
        )
    lines = [JsonLines().format(record) for record in caplog.records]
    last = json.loads(lines[-1])
    assert (last["event"], last["request"], last["route"], last["status"]) == (
        "request",
        "r.1",
        "/api/predict",
        200,
    )
    assert last["bytes_in"] > len(data)
    assert not any("Mueller" in line or base64.b64encode(data[:9]).decode() in line for line in lines)


def test_figures_for_prometheus(page: TestClient, kit: SimpleNamespace) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    page.post("/api/predict", content=kit.picture())
    found = {f.name: f for f in text_string_to_metric_families(page.get("/metrics").text)}
    names = (
        "requests",
        "request_seconds",
        "stage_seconds",
        "batch_images",
        "images",
        "queue_images",
        "refused",
    )
    assert {f"delineate_{name}" for name in names} <= set(found)
    assert {s.labels["stage"] for s in found["delineate_stage_seconds"].samples} == {
        "read", "decode", "wait", "model", "render",
    }  # fmt: skip
    assert found["delineate_queue_images"].samples[0].value == 0


def test_unknown_addresses_and_methods(page: TestClient) -> None:
    assert page.get("/etc/passwd").status_code == 404
    wrong = page.get("/api/predict")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert page.get("/api/models/none").status_code == 404
    assert page.get("/api/jobs").status_code == 404  # no store, no jobs


def test_names_of_classes_are_no_formulas() -> None:
    assert [safe_cell(text) for text in ("=1+1", "@x", "cell")] == ["'=1+1", "'@x", "cell"]
