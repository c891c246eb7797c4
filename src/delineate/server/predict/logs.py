"""Log records as lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("delineate", "uvicorn.error")


class JsonLines(logging.Formatter):
    """``{"time": ..., "level": ..., "event": ..., ...}``, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; its attribute ``facts`` is spread out in it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


@contextmanager
def json_lines(level: int = logging.INFO) -> Iterator[None]:
    """While it lasts, the program's own log goes to standard error as JSON, and nowhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    before = []
    for name in NAMES:
        log = logging.getLogger(name)
        before.append((log, log.handlers[:], log.level, log.propagate))
        log.handlers, log.propagate = [handler], False
        log.setLevel(level if name == "delineate" else logging.WARNING)
    try:
        yield
    finally:
        for log, handlers, old, propagate in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(old)
