"""When the frames of a stream were taken."""

from __future__ import annotations

from dataclasses import dataclass

LEAP = 5.0  # seconds: a clock of the stream that is off by more than this has been set anew
DRIFT = 1e-3  # seconds a second that the two clocks may differ by while frames wait
FOLLOW = 0.5  # seconds a second that our idea of the stream's clock may move while no frame waits


@dataclass
class Clock:
    """When frames were taken, from the stream's own times and from when they arrive.

    A frame that waited in a buffer arrives late, never early: the smallest difference between arrival and
    the stream's time is the one of a frame that did not wait. From it every other's taking is told. What a
    frame needs from the camera to here at the least is unknown and counts as none.

    A stream's clock may run slow, as where a camera stamps 30 frames a second and gives 25: then the
    difference grows though nothing waits. Where the reader had to wait for a frame, no buffer held one, and
    our idea of the stream's clock follows it.

    A time that leaps, as after a camera has restarted, sets the clock anew.

    Attributes:
        ours: the source stamps its frames with this machine's monotonic clock, as cameras do on Linux.
    """

    ours: bool = False
    offset: float | None = None
    seconds: float = -1.0
    before: float = 0.0
    stamp: float | None = None

    def set_anew(self) -> None:
        """After a new connection: the stream's times start somewhere else."""
        self.offset = self.stamp = None

    def tell(self, stamp: float | None, arrived: float, waited: bool = False) -> tuple[float, float]:
        """(seconds since the first frame, moment of taking on the clock of ``arrived``).

        Args:
            stamp: the stream's own time of the frame in seconds, or None.
            arrived: when it was decoded, in seconds.
            waited: whether the reader had to wait for it.

        Example:
            >>> clock = Clock()
            >>> [clock.tell(stamp, arrived) for stamp, arrived in ((7, 100), (8, 102), (9, 102))]
            [(0.0, 100), (1.0, 101.002), (2.0, 102)]
        """
        taken = arrived
        passed = arrived - self.before  # of our time
        if stamp is not None:
            late, slack = arrived - stamp, FOLLOW if waited else DRIFT
            if self.ours and 0 <= late <= LEAP:
                self.offset = 0.0
            elif self.offset is not None and late - self.offset <= LEAP:
                self.offset = min(late, self.offset + slack * passed)
            else:
                self.offset, self.stamp = late, None
            taken = stamp + self.offset
            if self.stamp is not None and 0 < stamp - self.stamp < passed + LEAP:
                passed = stamp - self.stamp  # of the stream's
        self.seconds = self.seconds + max(passed, 1e-6) if self.seconds >= 0 else 0.0
        self.before, self.stamp = arrived, stamp
        return self.seconds, taken
