"""The sound of one video put into another: copied packet by packet, cut to a range, never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from .video_file import opened, packets, pyav, started

COPIED: dict[str, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}),
    "mov": frozenset(
        {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_f32le"}
    ),
    "webm": frozenset({"opus", "vorbis"}),
}
ENCODED = {"mp4": ("aac", 0), "mov": ("aac", 0), "webm": ("libopus", 48_000)}  # encoder, sampling rate or 0
AHEAD = 0.5  # seconds that the sound is written ahead of the pictures


class Sound:
    """The first sound track of a video file.

    Args:
        source: the file.
        start: seconds from the start of the file that become 0.

    Attributes:
        note: what became of it, in words; empty where it was copied or there is none.
    """

    def __init__(self, source: str | Path, start: float = 0.0) -> None:
        self.source, self.start = Path(source), start
        self.note = ""
        self._zero = 0.0  # the start on the file's own clock
        self._context: Any = None
        self._from: Any = None
        self._to: Any = None
        self._copy = True
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None

    def begin(self, file: Any, container: str) -> None:
        """Adds a track to an open output file, where the source has sound; before the first packet."""
        av = pyav(self.source)
        self._context = opened(self.source)
        source, _ = self._context.__enter__()
        self._zero = self.start + started(source)
        self.start += started(source)  # from here on by the file's own clock
        if not source.streams.audio:
            return
        self._from = source.streams.audio[0]
        name = self._from.codec_context.name.removesuffix("float")
        self._copy = name in COPIED[container]
        if self._copy:
            self._to = file.add_stream_from_template(self._from)
        else:
            encoder, rate = ENCODED[container]
            self.note = (
                f"sound of {name} written as {encoder.removeprefix('lib')}, which {container} can hold"
            )
            self._to = file.add_stream(encoder, rate=rate or self._from.codec_context.sample_rate)
        self._packets = (packet for packet in packets(av, source, self._from) if packet.size)
        self._next = next(self._packets, None)

    def write(self, file: Any, time: float) -> None:
        """Writes what is heard up to so many seconds, and a little more."""
        self._until(file, time + AHEAD)

    def finish(self, file: Any, end: float) -> None:
        """Writes the rest up to the end in seconds."""
        self._until(file, end)
        if self._to is not None and not self._copy:
            file.mux(self._to.encode(None))

    def close(self) -> None:
        """Closes the source."""
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None

    def _until(self, file: Any, end: float) -> None:
        while self._next is not None:
            packet = self._next
            if packet.pts is not None and float(packet.pts * packet.time_base) - self._zero >= end:
                return
            self._one(file, packet)
            self._next = next(self._packets, None)

    def _one(self, file: Any, packet: Any) -> None:
        """Copies or encodes one packet, where it is not before the start."""
        if packet.pts is None:
            return
        shift = round(Fraction(self._zero).limit_denominator(10**6) / packet.time_base)
        early = packet.pts + (packet.duration or 0) <= shift if self.start else False
        if self._copy:
            if early or (self.start > 0 and packet.pts < shift):
                return
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._to
            file.mux(packet)
            return
        for frame in _decoded(packet):
            if frame.pts is not None and frame.time_base is not None:
                begin = float(frame.pts * frame.time_base) - self._zero
                if begin + frame.samples / frame.sample_rate <= 0:
                    continue
                frame.pts = round(max(0.0, begin) / float(frame.time_base))
            file.mux(self._to.encode(frame))


def _decoded(packet: Any) -> list[Any]:
    """The packet's samples; none of a damaged one."""
    import av

    try:
        return list(packet.decode())
    except av.error.FFmpegError:
        return []
