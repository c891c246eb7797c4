"""How much the server takes on, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, fields

from delineate.core.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What one request, one client and the whole server may use.

    Attributes:
        max_bytes: bytes of one upload, images of a job counted together; more is answered by 413.
        max_pixels: pixels of one image, read from its header before it is decoded; more is 422.
        queue: images that may be decoded, wait or be looked at at once; the next one is answered by 503.
        batch: images of one size that the model looks at together.
        deadline: seconds from the last byte of a request to the model's answer; later is 503.
        read_seconds: seconds that a client may take to send its request, and to take a part of its answer.
        decode_seconds: seconds that decoding one image may take; then its process is killed.
        decoders: processes that decode.
        per_client: images that one client may have in the queue; the next one is answered by 429. 0: no limit
            but the queue's.
        connections: requests that may be open at once.
        job_images: images that one job may hold.
        waiting_images: images of all jobs that may wait.
        keep_days: days that a finished job is kept.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 25_000_000
    queue: int = 32
    batch: int = 4
    deadline: float = 30.0
    read_seconds: float = 30.0
    decode_seconds: float = 20.0
    decoders: int = 1
    per_client: int = 0
    connections: int = 1000
    job_images: int = 100
    waiting_images: int = 10_000
    keep_days: float = 7.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            least = 0 if each.name == "per_client" else 1 if isinstance(each.default, int) else 1e-3
            if not least <= value < 1e12:
                flag = "--" + each.name.replace("_", "-")
                raise InputError(
                    f"{flag}: expected {least:g} or more, got {value}; leave it out for {each.default}"
                )


class RefusedError(Exception):
    """A request that is not answered as asked.

    Args:
        status: of HTTP: 400, 401, 403, 404, 406, 408, 409, 413, 415, 422, 429 or 503.
        message: ``where: expected X, got Y; how to mend it``.
        reason: one word for the metrics.
        retry_after: seconds after which it is worth asking again; None: asking again helps nothing.
    """

    def __init__(
        self, status: int, message: str, reason: str = "input", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
