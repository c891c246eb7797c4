"""Where to begin to decode a video for the frames from some time on, and which number they have."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

REORDERED = 64  # packets: frames are stored no further from their place in time than this


class Start(NamedTuple):
    """A place in a file.

    Attributes:
        packet: how many packets of the stream come before it.
        number: of the frame there.
        pts: when it is shown, in ticks; frames decoded after it that are shown before it are no whole ones.
    """

    packet: int = 0
    number: int = 0
    pts: int | None = None


def start_at(packets: Iterable[Any], begin: float, zero: float) -> Start:
    """The last place before a time from which a decoder can begin.

    The packets are not decoded, so hours are passed over in seconds. A frame's number is the count of frames
    that are shown before it: exact, also where the file stores them in another order or their times are
    uneven.

    Args:
        packets: of one stream, in the order of the file, from the first on.
        begin: seconds from the start of the file.
        zero: the file's own clock at its start.

    Returns:
        The file's beginning where the packets do not say when they are shown.
    """
    times, late = array("q"), 0
    last: tuple[int, int] | None = None
    for place, packet in enumerate(packets):
        if not packet.size:
            continue
        if packet.pts is None:
            return Start()
        after = float(packet.pts * packet.time_base) - zero > begin
        if packet.is_keyframe and not after:
            last = place, packet.pts
        times.append(packet.pts)
        late = late + 1 if after else 0
        if late > REORDERED:
            break
    if last is None:
        return Start()
    return Start(last[0], sum(time < last[1] for time in times), last[1])
