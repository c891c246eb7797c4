"""Losses and speed between two rows of the log."""

from __future__ import annotations

import math
import time

from torch import Tensor

from .processes import Processes


class Meter:
    """Losses and speed since the last row of the log.

    Args:
        batch_size: images per step.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.loss = self.lr = self.speed = 0.0
        self._rows: list[dict[str, Tensor]] = []
        self.restart()

    def restart(self) -> None:
        """Count the time from here: what came between was no training."""
        self._start, self._steps = time.monotonic(), 0

    def add(self, values: dict[str, Tensor], lr: float) -> None:
        """One step's losses; tensors stay on their device until the row is written."""
        self._rows.append(values)
        self._steps += 1
        self.loss, self.lr = float(values["loss"]), lr
        self.speed = self._steps * self.batch_size / max(1e-9, time.monotonic() - self._start)

    def take(self, processes: Processes) -> dict[str, float]:
        """Means over the steps since the last row and over all processes."""
        own = [{name: float(value) for name, value in row.items()} for row in self._rows]
        rows = [row for rows in processes.gather(own) for row in rows]
        self._rows = []
        means = {}
        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row[name] for row in rows if name in row]
            means[name] = math.fsum(values) / len(values)
        row = {"lr": self.lr, "images_per_second": self.speed, **means}
        self.restart()
        return row
