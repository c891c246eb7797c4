"""What comes out of the studio, read back by the formats' own readers."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from starlette.testclient import TestClient

from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.data.formats import coco
from delineate.data.write import write_label_tiff, write_png
from delineate.server.app import create_app
from delineate.server.launch import Settings, open_studio

LABELS = np.zeros((60, 80), np.uint16)
LABELS[5:15, 5:15], LABELS[30:50, 30:50], LABELS[35:40, 35:40] = 1, 2, 0  # the second has a hole


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "cells"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for k in range(3):
        write_png(folder / "images" / f"{k}.png", np.full((60, 80), k, np.uint8))
        write_label_tiff(folder / "labels" / f"{k}.tif", LABELS)
    return folder


def client(dataset: Path, *users: str) -> TestClient:
    studio, tokens = open_studio(Settings(str(dataset), users=users))
    headers = {"authorization": f"Bearer {next(iter(tokens.values()))}"} if tokens else {}
    return TestClient(create_app(studio, background=False), base_url="http://127.0.0.1", headers=headers)


def told(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return json.loads(unquote(answer.headers["x-export"]))  # type: ignore[no-any-return]


def test_coco_is_exact_and_leaves_suggestions_out(dataset: Path, tmp_path: Path) -> None:
    with client(dataset) as page:
        app: Any = page.app
        studio = app.state.studio
        studio.ensure(1)
        truth = studio.instances(1)
        studio.suggest(2, truth[:1], "ada", "nuclei")
        answer = page.post("/api/export", json={"format": "coco"})
        assert told(answer)["images"] == 3 and told(answer)["objects"] == 6
        assert 'filename="cells.json"' in answer.headers["content-disposition"]
        path = tmp_path / "out.json"
        path.write_bytes(answer.content)
        back = coco.read(path, images=False)
        want = Masks.from_label_image(LABELS)
        assert all(back.truth(i).masks == want for i in range(3))
        assert back.names == ["0.png", "1.png", "2.png"] and back.classes.names == truth.classes.names
        with_them = page.post("/api/export", json={"format": "coco", "suggestions": True})
        assert told(with_them)["objects"] == 7


def test_a_folder_comes_as_a_zip_and_tells_what_is_lost(dataset: Path, tmp_path: Path) -> None:
    with client(dataset) as page:
        answer = page.post("/api/export", json={"format": "label-images", "images": "copy"})
        assert told(answer)["losses"] == []
        zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
        back = open_dataset(tmp_path / "cells")
        assert len(back) == 3 and back[0].truth.masks == Masks.from_label_image(LABELS)
        app: Any = page.app
        app.state.studio.suggest(2, app.state.studio.instances(1)[:1], "ada", "nuclei")
        lossy = page.post("/api/export", json={"format": "label-images", "suggestions": True})
        assert "lost the pixels" in told(lossy)["losses"][0]


def test_states_choose_and_none_is_told(dataset: Path) -> None:
    with client(dataset) as page:
        page.patch("/api/images/2", json={"state": "done", "version": 1})
        assert told(page.post("/api/export", json={"states": ["done"]}))["images"] == 1
        none = page.post("/api/export", json={"states": ["reviewed"]})
        assert none.status_code == 422 and "images that are reviewed" in none.json()["error"]
        unknown = page.post("/api/export", json={"format": "xyz"})
        assert unknown.status_code == 422 and "expected a format" in unknown.json()["error"]


def test_a_path_is_for_ones_own_machine(dataset: Path, tmp_path: Path) -> None:
    with client(dataset) as page:
        out = tmp_path / "exported"
        answer = page.post("/api/export", json={"format": "label-images", "path": str(out), "images": "link"})
        assert answer.json()["path"] == str(out) and len(open_dataset(out)) == 3
        again = page.post("/api/export", json={"format": "label-images", "path": str(out)})
        assert again.status_code == 422 and "already" in again.json()["error"]
    with client(dataset, "ada:admin") as page:
        refused = page.post("/api/export", json={"path": str(tmp_path / "elsewhere")})
        assert refused.status_code == 403 and not (tmp_path / "elsewhere").exists()
