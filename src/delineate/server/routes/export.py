"""What was drawn, in any format: as a download, or in a folder of the server's machine."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from delineate.engine.convert import write_dataset

from .. import export
from .. import requests as ask
from ..answers import as_json
from ..auth import Annotator, ForbiddenError
from . import Open

router = APIRouter()


@router.post("/api/export")
def write(studio: Open, user: Annotator, body: ask.ExportRequest) -> Response:
    """A file to keep; with ``path``, on one's own machine alone, a folder or file there."""
    data = export.drawn(studio, body.states, body.suggestions)
    if body.path:
        if not studio.gate.open_to_all:
            raise ForbiddenError(
                403, "path: expected a studio on one's own machine, got a server; download it"
            )
        done = write_dataset(data, Path(body.path).expanduser().absolute(), body.format, images=body.images)
        told = {"path": str(done.out), "images": done.images, "objects": done.objects}
        return as_json(told | {"losses": done.losses.told()})
    folder = Path(tempfile.mkdtemp(prefix="delineate-export-"))
    try:
        path, done = export.to_file(data, body.format, studio.name, body.images, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    told = {"images": done.images, "objects": done.objects, "losses": done.losses.told()}
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=path.name,
        headers={"X-Export": quote(json.dumps(told))},
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )
