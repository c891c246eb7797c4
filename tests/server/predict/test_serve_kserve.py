"""KServe's open inference protocol, as its text has it (specification/protocol/inference_rest.md)."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from starlette.testclient import TestClient

import delineate as dl

LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/tiny/infer"


def tensor(array: Any, kind: str = "UINT8") -> dict[str, Any]:
    values = np.asarray(array)
    return {"name": "image", "shape": list(values.shape), "datatype": kind, "data": values.ravel().tolist()}


def rows(answer: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in answer["outputs"]}


def binary(data: bytes, datatype: str, shape: list[int], **more: Any) -> dict[str, Any]:
    """A request whose tensor stands behind its JSON."""
    size = {"binary_data_size": len(data)}
    image = {"name": "image", "shape": shape, "datatype": datatype, "parameters": size}
    head = json.dumps({"inputs": [image], **more}).encode()
    return {"content": head + data, "headers": {LENGTH: str(len(head))}}


def test_health_and_metadata(page: TestClient) -> None:
    assert page.get("/v2/health/live").json() == {"live": True}
    assert page.get("/v2/health/ready").json()["ready"] is True
    assert page.get("/v2").json() == {
        "name": "delineate",
        "version": dl.__version__,
        "extensions": ["binary_tensor_data"],
    }
    told = page.get("/v2/models/tiny").json()
    assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    (version,) = told["versions"]
    assert page.get(f"/v2/models/tiny/versions/{version}/ready").json() == {"name": "tiny", "ready": True}
    assert page.get("/v2/models/tiny/versions/0/ready").status_code == 404
    assert page.get("/v2/models/none").status_code == 404


def test_pixels_and_files_give_what_python_gives(page: TestClient, tiny: Path, kit: SimpleNamespace) -> None:
    data = kit.picture()
    pixels = imagecodecs.png_decode(data)
    want = dl.load(tiny).predict(pixels)
    assert want.masks is not None and len(want)
    file = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(data).decode()]}
    nested = {**tensor(pixels), "data": pixels.tolist()}
    for sent in (tensor(pixels), nested, file, tensor(pixels[None])):
        answer = page.post(INFER, json={"id": "7", "inputs": [sent]})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        found = rows(told)
        assert (told["id"], told["model_name"]) == ("7", "tiny")
        assert np.allclose(found["boxes"], want.boxes) and found["scores"].tolist() == pytest.approx(
            want.scores
        )
        assert found["masks"].tolist() == [rle["counts"] for rle in want.masks.to_rle()]
        assert found["sizes"].tolist() == [[64, 80]] and set(found["image"]) == {0}


def test_several_images_at_once(page: TestClient, tiny: Path, kit: SimpleNamespace) -> None:
    stack = np.stack([imagecodecs.png_decode(kit.picture(k)) for k in range(3)])
    body = {"inputs": [tensor(stack)], "outputs": [{"name": "image"}, {"name": "scores"}]}
    answer = page.post(INFER, json=body).json()
    assert [o["name"] for o in answer["outputs"]] == ["image", "scores"] and "id" not in answer
    model = dl.load(tiny)
    counts = [len(model.predict(image)) for image in stack]
    assert np.bincount(rows(answer)["image"], minlength=3).tolist() == counts


def test_settings_and_grey_and_16_bits(page: TestClient, kit: SimpleNamespace) -> None:
    grey = imagecodecs.png_decode(kit.picture())[:, :, 0]
    none = page.post(INFER, json={"inputs": [tensor(grey)], "parameters": {"confidence": 1.0, "other": 1}})
    assert rows(none.json())["boxes"].shape == (0, 4)
    deep = page.post(INFER, json={"inputs": [tensor(grey.astype(np.uint16) * 100, "UINT16")]})
    real = page.post(INFER, json={"inputs": [tensor(grey / 255, "FP32")]})
    assert len(rows(deep.json())["scores"]) > 0 and len(rows(real.json())["scores"]) > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"inputs": []}, 400),
        ({"inputs": [{"name": "x", "shape": [1, 1], "datatype": "UINT8", "data": [0]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [-1, 3, -640], "datatype": "FP32", "data": []}]}, 400),
        ({"inputs": [{"name": "image", "shape": [2, 2], "datatype": "UINT8", "data": [0, 0, 0]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [1, 2], "datatype": "UINT8", "data": [0, 300]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [1, 1], "datatype": "FP32", "data": [1e39]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [1, 1], "datatype": "INT8", "data": [0]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["AA=="]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["@"]}]}, 400),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["AAAA"]}]}, 422),
        ({"inputs": [{"name": "image", "shape": [10**9, 10**9], "datatype": "UINT8", "data": []}]}, 422),
        ({"inputs": [{"name": "image", "shape": [999, 1, 1, 3], "datatype": "UINT8", "data": []}]}, 422),
        ({"inputs": [tensor([[0]])], "outputs": [{"name": "x"}]}, 400),
        ({"inputs": [tensor([[0]])], "parameters": {"confidence": 2}}, 422),
    ],
)
def test_what_is_no_request_is_told(page: TestClient, body: dict[str, Any], status: int) -> None:
    answer = page.post(INFER, json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text


def test_bytes_behind_the_json_say_the_same(page: TestClient, kit: SimpleNamespace) -> None:
    data = kit.picture()
    pixels = imagecodecs.png_decode(data)
    want = rows(page.post(INFER, json={"inputs": [tensor(pixels)]}).json())
    file = binary(struct.pack("<I", len(data)) + data, "BYTES", [1])
    for sent in (binary(pixels.tobytes(), "UINT8", list(pixels.shape)), file):
        found = rows(page.post(INFER, **sent).json())
        assert found.keys() == want.keys() and all((found[key] == want[key]).all() for key in want)
    half = (pixels / 255).astype("<f2")
    real = page.post(INFER, **binary(half.tobytes(), "FP16", list(half.shape)))
    assert len(rows(real.json())["scores"]) > 0


def test_answers_as_bytes(page: TestClient, kit: SimpleNamespace) -> None:
    image = tensor(imagecodecs.png_decode(kit.picture()))
    want = rows(page.post(INFER, json={"inputs": [image]}).json())
    outputs = [{"name": name, "parameters": {"binary_data": name != "sizes"}} for name in want]
    for asked in ({"parameters": {"binary_data_output": True}}, {"outputs": outputs}):
        answer = page.post(INFER, json={"inputs": [image], **asked})
        assert answer.headers["content-type"] == "application/octet-stream"
        at = int(answer.headers[LENGTH])
        for told in json.loads(answer.content[:at])["outputs"]:
            if "data" in told:
                assert told["name"] == "sizes" and told["data"] == want["sizes"].ravel().tolist()
                continue
            part = answer.content[at : (at := at + told["parameters"]["binary_data_size"])]
            kind = {"INT64": "<i8", "FP32": "<f4"}.get(told["datatype"])
            if kind is None:  # texts, each after its length
                texts = "".join(struct.pack("<I", len(t)).decode("latin-1") + t for t in want[told["name"]])
                assert part == texts.encode("latin-1")
            else:
                assert np.array_equal(
                    np.frombuffer(part, kind).reshape(told["shape"]), want[told["name"]].astype(kind)
                )
        assert at == len(answer.content)


@pytest.mark.parametrize(
    "sent",
    [
        binary(b"abc", "UINT8", [2, 2]),
        binary(b"ab", "UINT8", [1, 2]) | {"headers": {LENGTH: "3"}},
        binary(b"ab", "UINT8", [1, 2]) | {"headers": {LENGTH: "-1"}},
        binary(b"ab", "UINT8", [1, 2]) | {"headers": {LENGTH: "99999"}},
        binary(b"ab", "UINT8", [1, 2]) | {"headers": {}},
        binary(b"ab", "INT16", [1, 1]),
        binary(struct.pack("<f", float("nan")), "FP32", [1, 1]),
        binary(struct.pack("<I", 9) + b"short", "BYTES", [1]),
        binary(b"", "BYTES", [1]),
        {"json": {"inputs": [tensor([[0]]) | {"parameters": {"binary_data_size": 1}}]}},
        {"json": {"inputs": [{"name": "image", "shape": [1, 1], "datatype": "UINT8"}]}},
    ],
)
def test_bytes_that_do_not_fit_are_told(page: TestClient, sent: dict[str, Any]) -> None:
    answer = page.post(INFER, **sent)
    assert (answer.status_code, list(answer.json())) == (400, ["error"]), answer.text


def test_corpus(page: TestClient, bad_inputs: Path) -> None:
    for name in ("kserve_v2_negative_shape.json", "deep_nesting.json"):
        body = (bad_inputs / "server" / name).read_bytes()
        assert page.post(INFER, content=body).status_code == 400
