"""Property tests judge results, not the speed of the machine they happen to run on."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
