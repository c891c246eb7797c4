"""Others' published weights into our modules: all of them or none, and what did not fit is listed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from delineate.core.errors import CheckpointError

LISTED = 6


def copy_translated(
    model: nn.Module,
    translated: Mapping[str, Tensor],
    strangers: list[str],
    *,
    whose: str,
    mend: str,
    skip: tuple[str, ...] = (),
) -> None:
    """Copy weights whose keys are already in our names.

    Args:
        model: takes them in place.
        translated: tensors by our names.
        strangers: keys of the file that have no place.
        whose: whose weights they are, for the message.
        mend: what to do about a misfit, for the message.
        skip: beginnings of our names that may stay as they are. Counters of batch norms always may.

    Raises:
        CheckpointError: keys without a place, places without a key, or other shapes; nothing is copied then.
    """
    own = model.state_dict()
    missing = [
        name
        for name in own
        if name not in translated
        and not name.endswith("num_batches_tracked")
        and not any(name.startswith(front) for front in skip)
    ]
    shapes = [
        f"{name} {tuple(own[name].shape)} got {tuple(value.shape)}"
        for name, value in translated.items()
        if own[name].shape != value.shape
    ]
    found = []
    for what, names in (("unknown", strangers), ("missing", missing), ("other shape", shapes)):
        if names:
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            found.append(f"{len(names)} {what}: {', '.join(names[:LISTED])}{more}")
    if found:
        raise CheckpointError(
            f"{whose} weights: expected the keys of this variant, got {'; '.join(found)}; {mend}"
        )
    with torch.no_grad():
        for name, value in translated.items():
            own[name].copy_(value)
