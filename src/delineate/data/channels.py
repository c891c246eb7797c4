"""Which of an image's channels are meant."""

from __future__ import annotations

from collections.abc import Sequence

from delineate.core.errors import InputError


def check_channels(channels: Sequence[int], total: int, where: str) -> list[int]:
    """``channels`` as given, checked against ``total``."""
    if not channels or any(not 0 <= c < total for c in channels):
        raise InputError(
            f"{where}: expected channels in 0..{total - 1}, got {list(channels)}; name those that it has"
        )
    return list(channels)


def too_many_channels(total: int, where: str) -> InputError:
    """The refusal of an image whose channels nobody chose."""
    example, python = ("0,1,2", "(0, 1, 2)") if total > 2 else ("0", "0")
    return InputError(
        f"{where}: expected 1 channel (grey) or 3 (RGB), got {total}; choose some with "
        f"`--channels {example}` (in Python channels={python})"
    )
