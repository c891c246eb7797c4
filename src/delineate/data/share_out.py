"""Groups of images shared out to parts: rare things first, then exchanges (:mod:`delineate.data.split`)."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

TRIALS = 40_000  # exchanges that are tried at most
TRIALS_EACH = 100  # the same for each group

Floats = NDArray[np.float64]


def share_out(bundles: Floats, shares: Floats, fixed: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The part of each group.

    Cost: over columns and parts, (share got - share wanted)^2 / share wanted, frequent columns weighing more.

    Args:
        bundles: (G, F) what each group holds; column 0 counts its images.
        shares: (P,) the share of each part, summing to 1.
        fixed: (G,) the part of groups that stay where they are, else -1.
        seed: of the exchanges.

    Returns:
        (G,) parts 0..P-1.
    """
    sizes = bundles[:, 0]
    used = bundles.sum(axis=0) > 0
    x = bundles[:, used] / bundles[:, used].sum(axis=0)  # each column sums to 1
    weight = np.sqrt(bundles[:, used].sum(axis=0))  # what is frequent can be shared out more evenly
    weight[0] = weight.sum()  # the number of images above all else
    root = np.sqrt(weight)
    x = x * root
    target = shares[:, None] * root  # (P, F)
    got = np.zeros_like(target)
    room = shares * sizes.sum()
    chosen = fixed.copy()
    for part in range(len(shares)):
        got[part] = x[fixed == part].sum(axis=0)
        room[part] -= sizes[fixed == part].sum()
    loose = np.flatnonzero(fixed < 0)
    for g in loose[np.argsort(-x[loose].max(axis=1, initial=0), kind="stable")]:
        # The gain of adding x to part p: what the cost falls by.
        gain = (2 * (target - got) @ x[g] - x[g] @ x[g]) / shares
        fits = room + 0.5 >= sizes[g]
        chosen[g] = part = int(np.argmax(np.where(fits, gain, gain - 1e6) if fits.any() else room))
        got[part] += x[g]
        room[part] -= sizes[g]
    _exchange(chosen, loose, x, got, target, shares, sizes, seed)
    return chosen


def _exchange(
    chosen: NDArray[np.int64], loose: NDArray[np.int64], x: Floats, got: Floats, target: Floats,
    shares: Floats, sizes: Floats, seed: int,
) -> None:  # fmt: skip
    """Pairs of groups change places, or a group moves, where that lowers the cost; in place."""
    draw = random.Random(seed).random  # its stream is the same in all versions of Python
    single = bool((sizes[loose] == 1).all()) if len(loose) else True
    for _ in range(min(TRIALS, TRIALS_EACH * len(loose))):
        a = int(loose[int(draw() * len(loose))])
        b = int(loose[int(draw() * len(loose))])
        p, q = int(chosen[a]), int(chosen[b])
        if p == q:
            continue
        lone = not single and draw() < 0.5 and (chosen == p).sum() > 1  # a alone moves
        change = x[a] if lone else x[a] - x[b]
        off_p, off_q = got[p] - target[p], got[q] - target[q]
        square = change @ change
        rise = (square - 2 * off_p @ change) / shares[p] + (square + 2 * off_q @ change) / shares[q]
        if rise < -1e-12:
            got[p] -= change
            got[q] += change
            chosen[a] = q
            if not lone:
                chosen[b] = p
