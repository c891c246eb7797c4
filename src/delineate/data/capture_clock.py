"""When the frames of a stream were taken."""

from __future__ import annotations

from dataclasses import dataclass

DRIFT = 1e-3  # seconds a second by which two clocks may differ
LEAP = 5.0  # seconds: a clock of the stream that is off by more than this has been set anew


@dataclass
class Clock:
    """When frames were taken, from the stream's own times and from when they arrive.

    A frame that waited in a buffer arrives late, never early: the smallest difference between arrival and
    the stream's time is the one of a frame that did not wait. From it every other's taking is told. What a
    frame needs from the camera to here at the least is unknown and counts as none. As no two clocks run
    alike, that smallest difference may grow by :data:`DRIFT`.

    A time that leaps, as after a camera has restarted, sets the clock anew.

    Attributes:
        ours: the source stamps its frames with this machine's monotonic clock, as cameras do on Linux.
    """

    ours: bool = False
    begin: float | None = None
    offset: float | None = None
    last: float = 0.0
    before: float = 0.0

    def set_anew(self) -> None:
        """After a new connection: the stream's times start somewhere else."""
        self.offset = None

    def tell(self, stamp: float | None, arrived: float) -> tuple[float, float]:
        """(seconds since the first frame, moment of taking on the clock of ``arrived``).

        Args:
            stamp: the stream's own time of the frame in seconds, or None.
            arrived: when it was decoded, in seconds.

        Example:
            >>> clock = Clock()
            >>> [clock.tell(stamp, arrived)[1] for stamp, arrived in ((7, 100), (8, 102), (9, 102))]
            [100, 101.002, 102]
        """
        taken = arrived
        if stamp is not None:
            late = arrived - stamp
            if self.ours and 0 <= late <= LEAP:
                self.offset = 0.0
            elif self.offset is not None and late - self.offset <= LEAP:
                self.offset = min(late, self.offset + DRIFT * (arrived - self.before))
            else:
                self.offset = late
            taken = stamp + self.offset
        self.before = arrived
        if self.begin is None:
            self.begin = taken
        else:
            self.last = max(taken - self.begin, self.last + 1e-6)
        return self.last, taken
