"""Position, velocity and acceleration of whole tracks, from noisy places: a Kalman filter and its smoother.

The acceleration is a random one that fades (Singer, "Estimating Optimal Tracking Filter Performance for
Manned Maneuvering Targets", IEEE AES 1970); the state of each axis is place, velocity, acceleration. The
smoother is that of Rauch, Tung and Striebel ("Maximum likelihood estimates of linear dynamic systems", AIAA
Journal 1965): every moment is told by all of the track, before and after. Many tracks run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

Floats = NDArray[np.float64]
STATE = 6  # x, y, vx, vy, ax, ay


@dataclass(frozen=True)
class SmoothSettings:
    """How tracks are smoothed.

    Attributes:
        memory: seconds in which an acceleration fades to 1/e.
        start_speed: standard deviation of the speed before anything is seen, in m/s.
        outlier: squared normalised distance from the forecast beyond which a place is trusted less, in
            proportion; 9.21 is passed by one in a hundred (chi-square, 2 degrees of freedom).
    """

    memory: float = 1.5
    start_speed: float = 10.0
    outlier: float = 9.21


@dataclass(frozen=True, eq=False)
class TrackBatch:
    """N tracks side by side, step by step; track n begins at step 0, steps after its end are not seen.

    Attributes:
        times: (T, N) seconds, never falling.
        places: (T, N, 2); anything where not seen.
        spread: (T, N, 2, 2) covariance of the places.
        seen: (T, N) bool; the first step is.
        acceleration: (N,) standard deviation of the acceleration.
        turning: (N,) standard deviation that the turn rate gains in a second, rad/s.
        unit: (N,) how many units of ``places`` are a metre: 1 on the ground.
    """

    times: Floats
    places: Floats
    spread: Floats
    seen: NDArray[np.bool_]
    acceleration: Floats
    turning: Floats
    unit: Floats

    @property
    def steps(self) -> Floats:
        """(T, N) seconds since the step before; 0 for the first."""
        return np.diff(self.times, axis=0, prepend=self.times[:1])


def smooth(tracks: TrackBatch, settings: SmoothSettings | None = None) -> tuple[Floats, Floats]:
    """The smoothed state at each step.

    Args:
        tracks: N tracks of at most T steps.
        settings: how.

    Returns:
        (T, N, 6) x, y, vx, vy, ax, ay, and (T, N, 6, 6) their covariances.
    """
    settings = settings or SmoothSettings()
    length, count = tracks.times.shape
    moves, noise = _transitions(tracks, settings)
    state, cov = np.zeros((length, count, STATE)), np.zeros((length, count, STATE, STATE))
    ahead, wide = np.zeros_like(state), np.zeros_like(cov)
    ahead[0], wide[0] = _start(tracks, settings)
    for k in range(length):
        if k:
            ahead[k] = (moves[k] @ state[k - 1, :, :, None])[..., 0]
            wide[k] = moves[k] @ cov[k - 1] @ moves[k].transpose(0, 2, 1) + noise[k]
        state[k], cov[k] = _seen(ahead[k], wide[k], tracks, k, settings.outlier)
    for k in range(length - 2, -1, -1):
        gain = np.linalg.solve(wide[k + 1], moves[k + 1] @ cov[k]).transpose(0, 2, 1)
        state[k] += (gain @ (state[k + 1] - ahead[k + 1])[..., None])[..., 0]
        cov[k] += gain @ (cov[k + 1] - wide[k + 1]) @ gain.transpose(0, 2, 1)
    return state, cov


def _start(tracks: TrackBatch, settings: SmoothSettings) -> tuple[Floats, Floats]:
    """What is known before the first sighting: nothing but how things move at all."""
    count = len(tracks.unit)
    state, cov = np.zeros((count, STATE)), np.zeros((count, STATE, STATE))
    state[:, :2] = tracks.places[0]
    far = 1e3 * tracks.unit**2 + 1e3 * np.trace(tracks.spread[0], axis1=1, axis2=2)
    speed = (settings.start_speed * tracks.unit) ** 2
    push = (tracks.acceleration * tracks.unit) ** 2
    for axis in (0, 1):
        for offset, value in ((0, far), (2, speed), (4, push)):
            cov[:, axis + offset, axis + offset] = value
    return state, cov


def _seen(state: Floats, cov: Floats, tracks: TrackBatch, k: int, outlier: float) -> tuple[Floats, Floats]:
    """The state after the places of step k; unseen tracks stay as they are."""
    seen = tracks.seen[k]
    if not seen.any():
        return state, cov
    off = np.where(seen[:, None], tracks.places[k] - state[:, :2], 0.0)
    noise = np.where(seen[:, None, None], tracks.spread[k], np.eye(2))
    inside = cov[:, :2, :2]
    distance = _squared(off, inside + noise)
    noise = noise * np.maximum(1.0, distance / outlier)[:, None, None]
    gain = np.linalg.solve(inside + noise, cov[:, :2]).transpose(0, 2, 1)  # (N, 6, 2)
    moved = state + (gain @ off[..., None])[..., 0]
    left = np.eye(STATE) - np.concatenate([gain, np.zeros((len(gain), STATE, STATE - 2))], axis=2)
    narrowed = left @ cov @ left.transpose(0, 2, 1) + gain @ noise @ gain.transpose(0, 2, 1)  # Joseph's form
    return np.where(seen[:, None], moved, state), np.where(seen[:, None, None], narrowed, cov)


def _squared(off: Floats, cov: Floats) -> Floats:
    """(N,) squared Mahalanobis distances."""
    found: Floats = (off[:, None] @ np.linalg.solve(cov, off[..., None]))[:, 0, 0]
    return found


def _transitions(tracks: TrackBatch, settings: SmoothSettings) -> tuple[Floats, Floats]:
    """(T, N, 6, 6) transitions and the noise that they bring, for the time that passes before each step."""
    steps, which = np.unique(np.round(tracks.steps, 9), return_inverse=True)
    each = [np.kron(np.stack(singer(float(step), settings.memory)), np.eye(2)) for step in steps]
    found = np.array(each).reshape(-1, 2, STATE, STATE)[which.reshape(tracks.times.shape)]
    moves, noises = found[:, :, 0], found[:, :, 1]
    push = (tracks.acceleration * tracks.unit) ** 2
    return moves, noises * push[:, None, None]


def singer(step: float, memory: float) -> tuple[Floats, Floats]:
    """Singer's model of one axis for a step of time.

    By Van Loan's exponential (IEEE TAC 23(3), 1978) for short steps, where Singer's own terms cancel, and by
    those for long ones, where the exponential overflows.

    Args:
        step: seconds, >= 0.
        memory: seconds, > 0.

    Returns:
        (3, 3) transition of place, velocity, acceleration; (3, 3) noise for an acceleration of variance 1.
    """
    if step > memory:
        return _singer_long(step, 1 / memory)
    drift = np.array([[0, 1.0, 0], [0, 0, 1], [0, 0, -1 / memory]])
    push = np.zeros((3, 3))
    push[2, 2] = 2 / memory
    both = expm(np.block([[-drift, push], [np.zeros((3, 3)), drift.T]]) * step)
    move: Floats = both[3:, 3:].T
    noise = move @ both[:3, 3:]
    return move, (noise + noise.T) / 2


def _singer_long(t: float, a: float) -> tuple[Floats, Floats]:
    """Singer's terms (Bar-Shalom et al. 2001, section 8.2.2); ``a`` is the inverse of the memory."""
    e = np.exp(-a * t)
    move = np.array([[1, t, (a * t - 1 + e) / a**2], [0, 1, (1 - e) / a], [0, 0, e]])
    far = (1 - e**2 + 2 * a * t + 2 * (a * t) ** 3 / 3 - 2 * (a * t) ** 2 - 4 * a * t * e) / a**4
    mixed = (e**2 + 1 - 2 * e + 2 * a * t * e - 2 * a * t + (a * t) ** 2) / a**3
    place_push = (1 - e**2 - 2 * a * t * e) / a**2
    fast = (4 * e - 3 - e**2 + 2 * a * t) / a**2
    fast_push = (e**2 + 1 - 2 * e) / a
    push = 1 - e**2
    noise = np.array([[far, mixed, place_push], [mixed, fast, fast_push], [place_push, fast_push, push]])
    return move, noise
