"""A live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

QUIET_SECONDS = 30.0  # between plain lines where there is no terminal


class TrainingLine:
    """Where the training stands: epoch, step, loss, learning rate, images per second, time left.

    Args:
        total: optimiser steps in all, or None where only the clock ends it.
        quiet: print nothing.
    """

    def __init__(self, total: int | None, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, markup=False)
        self._live = self.console.is_terminal and not quiet
        self._printed = -QUIET_SECONDS
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self._live,
        )
        self._task = self._progress.add_task("starting", total=1.0)
        self._total = total

    def __enter__(self) -> TrainingLine:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def show(
        self, *, epoch: int, step: int, loss: float, lr: float, speed: float, progress: float, seconds: float
    ) -> None:
        """The state after a step; ``progress`` 0..1, ``speed`` in images per second, ``seconds`` spent."""
        left = seconds * (1 - progress) / progress if progress > 0 else 0.0
        steps = f"{step}/{self._total}" if self._total else str(step)
        text = (
            f"epoch {epoch + 1}  step {steps}  loss {loss:.4f}  lr {lr:.2e}  {speed:.1f} images/s  "
            f"{_clock(left)} left"
        )
        self._progress.update(self._task, description=text, completed=min(progress, 1.0))
        if not self._live and time.monotonic() - self._printed >= QUIET_SECONDS:
            self._printed = time.monotonic()
            self.console.print(text, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(text, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
