"""What the server counts, in the form that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_STAGE = "Seconds by stage: read, decode, wait, model, render."


class Metrics:
    """All figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        own: dict[str, Any] = {"namespace": "delineate", "registry": self.registry}
        self.requests = Counter("requests", "Requests answered.", ("route", "method", "status"), **own)
        self.seconds = Histogram(
            "request_seconds", "Seconds of a request.", ("route",), buckets=SECONDS, **own
        )
        self.stages = Histogram("stage_seconds", _STAGE, ("stage",), buckets=SECONDS, **own)
        self.open = Gauge("open_requests", "Requests that are being answered.", **own)
        self.refused = Counter("refused", "Requests refused, by reason.", ("reason",), **own)
        self.batches = Histogram(
            "batch_images", "Images looked at together.", buckets=(1, 2, 4, 8, 16), **own
        )
        self.images = Counter("images", "Images looked at.", ("model",), **own)
        self.objects = Counter("objects", "Objects found.", ("model",), **own)
        self.decoders = Counter(
            "decoder_restarts", "Decoders replaced: killed (slow) or died.", ("reason",), **own
        )
        self.reloads = Counter(
            "model_reloads", "Models loaded again: loaded or kept.", ("model", "result"), **own
        )
        self.items = Counter("job_images", "Images of jobs that ended: done or failed.", ("state",), **own)
        self.store = Counter("store_errors", "Errors of the store of jobs.", **own)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A figure that is looked up when it is asked for."""
        Gauge(name, text, namespace="delineate", registry=self.registry).set_function(value)

    def looked(self, model: str, images: int, seconds: float) -> None:
        """A batch was looked at."""
        self.batches.observe(images)
        self.images.labels(model).inc(images)
        self.stages.labels("model").observe(seconds)

    def text(self) -> bytes:
        """The page for Prometheus."""
        return generate_latest(self.registry)
