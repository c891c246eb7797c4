"""What is told on stderr, and how often."""

from __future__ import annotations

import warnings

import pytest

from delineate.cli.messages import LOG, once_each, one_line_messages


def test_warnings_that_differ_in_numbers_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_messages(), warnings.catch_warnings():
        warnings.simplefilter("always")
        with once_each():
            for frame in range(3):
                LOG.warning("kept the %d best", frame)
                warnings.warn(f"frame {frame} is dark", UserWarning, stacklevel=1)
                warnings.warn("100 % of another kind", UserWarning, stacklevel=1)
                LOG.error("frame %d is lost", frame)
        LOG.warning("kept the 7 best")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "warning: kept the 0 best", "warning: frame 0 is dark", "warning: 100 % of another kind",
        "error: frame 0 is lost", "error: frame 1 is lost", "error: frame 2 is lost",
        "warning: kept the 7 best",
    ]  # fmt: skip
