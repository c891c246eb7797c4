"""HTTP connections that are given up when the other side is too slow: to ask, and to take its answer."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LEAST = 1 << 16  # bytes that count as a part of an answer
HEADER_SECONDS = 15.0
"""Seconds for the headers of a request, from its first byte or the connection's beginning."""


def patient(write_seconds: float, header_seconds: float = HEADER_SECONDS) -> type[H11Protocol]:
    """uvicorn's protocol with two limits that it does not have.

    Args:
        write_seconds: a client that takes less than 64 KB of its answer in so long is cut off.
        header_seconds: one that does not finish its headers in so long, too.
    """

    class Patient(H11Protocol):
        _asking: asyncio.TimerHandle | None = None
        _taking: asyncio.TimerHandle | None = None
        _left = 0  # bytes that were not taken at the last look

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._stop_asking()
            elif self._asking is None and self.timeout_keep_alive_task is None:
                self._await_headers()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._taking is None:
                self._await_taking()

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._taking is not None:
                self._taking.cancel()
                self._taking = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_asking()
            if self._taking is not None:
                self._taking.cancel()
            super().connection_lost(exc)

        def _await_taking(self) -> None:
            self._left = self.transport.get_write_buffer_size()
            self._taking = self.loop.call_later(write_seconds, self._look)

        def _look(self) -> None:
            if self.transport.get_write_buffer_size() > self._left - LEAST:
                self.transport.abort()
            else:
                self._await_taking()

        def _await_headers(self) -> None:
            self._asking = self.loop.call_later(header_seconds, self.transport.abort)

        def _stop_asking(self) -> None:
            if self._asking is not None:
                self._asking.cancel()
                self._asking = None

    return Patient
