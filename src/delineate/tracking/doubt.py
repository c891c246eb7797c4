"""How far a detection's box is to be trusted, for an object that goes behind another or comes back."""

from __future__ import annotations

import numpy as np

from .round import Round
from .tracks import masks_of

STRONGLY = 5.0  # chosen on simulated crowds: 0 and 20 kept fewer identities


def doubt_sizes(play: Round) -> None:
    """A step after the pairs are made: a box whose size jumps says little about where its object goes.

    While an object is being hidden its visible part shrinks, and the part's centre runs from the whole's.
    The variance of the measured box is ``1 + 5 (r - 1)^2`` times the usual one, with r the larger of the two
    areas, last seen and found, over the smaller. (StrongSORT weakens measurements of low score likewise: Du
    et al., "StrongSORT: Make DeepSORT Great Again", IEEE Transactions on Multimedia 25, 2023, section 3.2.)
    """
    rows = np.flatnonzero(play.of_track >= 0)
    columns = play.of_track[rows]
    before, now = play.tracks.masks.area[rows], masks_of(play.found).area[columns]
    ratio = np.maximum(before, now) / np.maximum(np.minimum(before, now), 1)
    known = (before > 0) & (now > 0)
    play.doubt[columns] = np.where(known, 1 + STRONGLY * (np.minimum(ratio, 100) - 1) ** 2, 1)
