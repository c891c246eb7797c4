"""What was used lately stays in memory, up to a weight."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any


class Recent:
    """Things by key, the one unused for longest dropped when they weigh too much together; thread-safe.

    Args:
        limit: what they may weigh together.

    Example:
        >>> kept = Recent(10)
        >>> kept.put("a", 1, 6)
        >>> kept.put("b", 2, 6)
        >>> kept.get("a"), kept.get("b")
        (None, 2)
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._weight = limit, 0
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """What is kept under a key, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self._weight = 0

    def put(self, key: Any, value: Any, weight: int) -> None:
        """Keep something that weighs so much; the newest is kept whatever it weighs."""
        with self._lock:
            if key in self._kept:
                self._weight -= self._kept.pop(key)[1]
            self._kept[key] = (value, weight)
            self._weight += weight
            while self._weight > self._limit and len(self._kept) > 1:
                self._weight -= self._kept.popitem(last=False)[1][1]
