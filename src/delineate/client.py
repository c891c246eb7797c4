"""A client of ``delineate serve``; needs httpx alone (``pip install httpx``), neither torch nor NumPy.

Example:
    ``Client("http://localhost:8000").predict("cells.png")["count"]`` gives the number of objects.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from .core.instances import Instances

Source = str | Path | bytes
AGAIN = (429, 502, 503, 504)  # answers after which the same request may be sent again
TOKEN_VARIABLE = "DELINEATE_TOKEN"


class ServerError(Exception):
    """The server refused.

    Attributes:
        status: of HTTP; 0 where no answer came.
        retry_after: seconds after which it is worth asking again, or None.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Client:
    """Asks a server. Use it from one thread, or make one for each.

    Args:
        url: where the server is.
        token: where it asks for one; default the variable ``DELINEATE_TOKEN``.
        timeout: seconds for one answer.
        patience: seconds in all to ask again while the server is too busy or cannot be reached; 0 never.
        transport: of httpx, for tests and proxies.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str = "",
        timeout: float = 60.0,
        patience: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        token = token or os.environ.get(TOKEN_VARIABLE, "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.patience = patience
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    # -- predictions -----------------------------------------------------------------------------------

    def predict(self, image: Source, **settings: Any) -> dict[str, Any]:
        """The objects of one image.

        Args:
            image: a path or a file's bytes.
            settings: ``model``, ``confidence``, ``iou``, ``max_det``, ``tile``, ``channels``, ``page``.

        Returns:
            ``width``, ``height``, ``count``, ``objects`` (each with ``label``, ``class``, ``score``, ``box``,
            ``area`` and ``mask``, a COCO RLE), ``model``, ``version``; :func:`to_instances` makes more of it.

        Raises:
            ServerError: it refused, or had too much work for longer than ``patience``.
        """
        answer: dict[str, Any] = json.loads(self.predict_as("json", image, **settings))
        return answer

    def predict_as(self, kind: str, image: Source, **settings: Any) -> bytes:
        """The same as the bytes of a file.

        Args:
            kind: json, coco, geojson, labels (PNG), overlay (PNG) or csv.
            image: as for :meth:`predict`.
            settings: as there, and ``tolerance`` for geojson.
        """
        data, _ = _bytes(image)
        headers = {"Content-Type": "application/octet-stream"}
        asked = {"format": kind, **settings}
        return self._ask("POST", "/api/predict", params=asked, content=data, headers=headers).content

    # -- jobs ------------------------------------------------------------------------------------------

    def submit(self, images: Sequence[Source], key: str | None = None, **settings: Any) -> Job:
        """A job that the server works on by and by, and keeps.

        Args:
            images: paths or bytes; a path's last part names the image in the results.
            key: with the same key and images twice, one job is made; default a new one, so that asking again
                after a broken connection makes no second job.
            settings: as for :meth:`predict`.
        """
        files = [("image", (name, data)) for data, name in map(_bytes, images)]
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        answer = self._ask("POST", "/api/jobs", params=settings, files=files, headers=headers)
        return Job(self, answer.json()["id"])

    def job(self, number: str) -> Job:
        """A job by its id, of an earlier program perhaps."""
        return Job(self, number)

    def jobs(self) -> list[dict[str, Any]]:
        """The latest jobs."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/jobs").json()["jobs"]
        return found

    # -- the server ------------------------------------------------------------------------------------

    def models(self) -> dict[str, Any]:
        """The models that serve, and which is the default."""
        found: dict[str, Any] = self._ask("GET", "/api/models").json()
        return found

    def reload(self, model: str) -> dict[str, Any]:
        """Loads a model's file again; needs the role admin."""
        found: dict[str, Any] = self._ask("POST", f"/api/models/{model}/reload").json()
        return found

    def ready(self) -> bool:
        """Whether the server takes work now."""
        try:
            return self._http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """An answer; while the server has too much work, or is not there, asked for again."""
        end, pause = time.monotonic() + self.patience, 0.5
        while True:
            try:
                answer = self._http.request(method, path, **request)
                if answer.is_success:
                    return answer
                error = _refusal(answer)
            except httpx.TransportError as trouble:
                error = ServerError(0, f"{self._http.base_url}: expected an answer, got {trouble!r}")
            wait = error.retry_after if error.retry_after is not None else pause
            again = error.status in AGAIN or error.status == 0
            if not again or time.monotonic() + wait > end:
                raise error
            time.sleep(wait)
            pause = min(2 * pause, 10.0)


@dataclass(frozen=True)
class Job:
    """A job of a server.

    Attributes:
        client: who asks.
        id: its number; keep it to come back later.
    """

    client: Client
    id: str

    def status(self) -> dict[str, Any]:
        """``state`` (waiting, running, done), ``progress`` 0..1, ``images``, ``ended``."""
        found: dict[str, Any] = self.client._ask("GET", f"/api/jobs/{self.id}").json()
        return found

    def results(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """What has ended so far.

        Args:
            after: leave out what came before, up to this ``seq``.

        Yields:
            ``seq``, ``number`` (1..), ``name``, ``state`` (done or failed), ``error``, and ``prediction`` as
            of :meth:`Client.predict` where it is done.
        """
        answer = self.client._ask("GET", f"/api/jobs/{self.id}/results", params={"after": after})
        for line in answer.text.splitlines():
            yield json.loads(line)

    def follow(
        self,
        every: float = 0.5,
        timeout: float | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """All results, each as soon as it is there; a server that starts anew meanwhile is waited for.

        Args:
            every: seconds between two looks.
            timeout: seconds in all; None waits as long as it takes.
            progress: called with 0..1.

        Raises:
            TimeoutError: it took longer.
        """
        end, after = None if timeout is None else time.monotonic() + timeout, 0
        while True:
            status = self.status()
            for result in self.results(after):
                after = result["seq"]
                yield result
            if progress is not None:
                progress(status["progress"])
            if after >= status["images"]:
                return
            if end is not None and time.monotonic() > end:
                raise TimeoutError(
                    f"job {self.id}: {after} of {status['images']} images ended in {timeout:g} s"
                )
            time.sleep(every)

    def wait(
        self,
        every: float = 0.5,
        timeout: float | None = None,
        progress: Callable[[float], object] | None = None,
    ) -> list[dict[str, Any]]:
        """All results, once all are there; as :meth:`follow`, which gives each as soon as it is."""
        return list(self.follow(every, timeout, progress))

    def result_as(self, kind: str, number: int) -> bytes:
        """One image's result as the bytes of a file; ``kind`` as for :meth:`Client.predict_as`."""
        path = f"/api/jobs/{self.id}/images/{number}"
        return self.client._ask("GET", path, params={"format": kind}).content

    def remove(self) -> None:
        """Stops the job and forgets it."""
        self.client._ask("DELETE", f"/api/jobs/{self.id}")


def to_instances(prediction: dict[str, Any]) -> Instances:
    """A prediction as the rest of delineate knows it; needs delineate's own dependencies."""
    import numpy as np

    from .core.instances import Instances
    from .core.labels import Labels
    from .core.masks import Masks

    objects, size = prediction["objects"], (prediction["height"], prediction["width"])
    names = tuple(dict.fromkeys(each["class"] for each in objects)) or ("object",)
    masked = all("mask" in each for each in objects)
    return Instances(
        size,
        boxes=np.array([each["box"] for each in objects], np.float32).reshape(-1, 4),
        labels=np.array([names.index(each["class"]) for each in objects], np.int64),
        scores=np.array([each["score"] for each in objects], np.float32),
        masks=Masks.from_rle([each["mask"] for each in objects], size) if masked else None,
        classes=Labels(names),
    )


def _bytes(image: Source) -> tuple[bytes, str]:
    if isinstance(image, bytes):
        return image, "image"
    path = Path(image)
    return path.read_bytes(), path.name


def _refusal(answer: httpx.Response) -> ServerError:
    try:
        text = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        text = f"expected an answer of delineate serve, got status {answer.status_code}"
    after = answer.headers.get("retry-after", "")
    return ServerError(answer.status_code, text, float(after) if after.isdigit() else None)
