"""Which object of one frame is which of the next: trackers that know results only, never a model."""

from .choose import TRACKERS, tracker
from .tracked import Tracked, Tracker

__all__ = ["TRACKERS", "Tracked", "Tracker", "tracker"]
