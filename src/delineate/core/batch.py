"""From images to one padded tensor and exactly back: resize, pad, remember, restore."""

from __future__ import annotations
