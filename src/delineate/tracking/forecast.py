"""Where a participant will be, and how sure that is: two ways of moving, weighed by how well they have told.

One goes straight on with a steady velocity, one turns at a steady rate; the interacting multiple model filter
runs both and mixes them (Blom and Bar-Shalom, "The interacting multiple model algorithm for systems with
Markovian switching coefficients", IEEE TAC 33(8), 1988; Bar-Shalom, Li and Kirubarajan, Estimation with
Applications to Tracking and Navigation, 2001, sections 6.2, 11.6 and 11.7). The state of both is x, y, vx,
vy and the turn rate; going straight knows no turn rate, so it takes the turning model's own when they are
mixed. Many tracks run side by side, and nothing looks ahead in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .smooth import TrackBatch

Floats = NDArray[np.float64]
STATE = 5
STRAIGHT, TURNING = 0, 1
SLOW = 1e-4  # rad; below it sines are taken by their series


@dataclass(frozen=True)
class ForecastSettings:
    """How the future is told.

    Attributes:
        horizons: seconds ahead.
        straight: seconds for which a participant goes straight on average before it turns.
        turn: seconds for which it turns on average.
        start_speed: standard deviation of the speed before anything is seen, in m/s.
        start_turn: standard deviation of the turn rate when a turn begins, in rad/s.
    """

    horizons: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0)
    straight: float = 5.0
    turn: float = 2.0
    start_speed: float = 10.0
    start_turn: float = 0.4


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What each step of N tracks foretold.

    Attributes:
        horizons: (H,) seconds ahead.
        places: (T, N, H, 2).
        spread: (T, N, H, 2, 2) covariances.
        now: (T, N, 5) the mixed state: x, y, vx, vy, turn rate.
        turning: (T, N) probability that it turns.
    """

    horizons: Floats
    places: Floats
    spread: Floats
    now: Floats
    turning: Floats


def forecast(tracks: TrackBatch, settings: ForecastSettings | None = None) -> Forecasts:
    """Runs the filter over the tracks and looks ahead from every step.

    Args:
        tracks: N tracks of at most T steps.
        settings: how.
    """
    settings = settings or ForecastSettings()
    length, count = tracks.times.shape
    horizons = np.asarray(settings.horizons, np.float64)
    found = Forecasts(
        horizons,
        np.zeros((length, count, len(horizons), 2)),
        np.zeros((length, count, len(horizons), 2, 2)),
        np.zeros((length, count, STATE)),
        np.zeros((length, count)),
    )
    filter = _Filter(tracks, settings)
    for k in range(length):
        if k:
            filter.advance(tracks.steps[k])
        filter.see(k)
        found.now[k], _ = _mixed(filter.weight, filter.state, filter.cov)
        found.turning[k] = filter.weight[TURNING]
        for h, ahead in enumerate(horizons.tolist()):
            moved = [filter.moved(m, np.full(count, ahead)) for m in (STRAIGHT, TURNING)]
            place, spread = _mixed(
                filter.weight, np.stack([s for s, _ in moved]), np.stack([c for _, c in moved])
            )
            found.places[k, :, h], found.spread[k, :, h] = place[:, :2], spread[:, :2, :2]
    return found


class _Filter:
    """The two models of N tracks: states (2, N, 5), covariances (2, N, 5, 5), weights (2, N)."""

    def __init__(self, tracks: TrackBatch, settings: ForecastSettings) -> None:
        self.tracks, self.settings = tracks, settings
        count = len(tracks.unit)
        self.push = tracks.acceleration**2 * tracks.unit**2  # of a velocity, in a second
        self.veer = tracks.turning**2
        self.state = np.zeros((2, count, STATE))
        self.cov = np.zeros((2, count, STATE, STATE))
        self.state[:, :, :2] = tracks.places[0]
        far = 1e3 * tracks.unit**2 + 1e3 * np.trace(tracks.spread[0], axis1=1, axis2=2)
        speed = (settings.start_speed * tracks.unit) ** 2
        for axis, value in enumerate((far, far, speed, speed, np.full(count, settings.start_turn**2))):
            self.cov[:, :, axis, axis] = value
        total = settings.straight + settings.turn
        self.weight = np.repeat([[settings.straight / total], [settings.turn / total]], count, axis=1)

    def advance(self, step: Floats) -> None:
        """Mixes the models and moves each on by (N,) seconds."""
        rate = np.array([self.settings.straight, self.settings.turn])
        stay = np.exp(-step * (1 / rate).sum())  # two-state Markov chain in continuous time
        home = (rate / rate.sum())[:, None]
        change = np.stack([home + (1 - home) * stay, (1 - home) * (1 - stay)])  # [same | to the other](from)
        joint = np.empty((2, 2, len(step)))  # from, to
        for i in (0, 1):
            joint[i, i], joint[i, 1 - i] = change[0, i], change[1, i]
        joint = joint * self.weight[:, None]
        weight = joint.sum(axis=0)
        share = joint / np.maximum(weight, 1e-12)
        state, cov = np.empty_like(self.state), np.empty_like(self.cov)
        for to in (STRAIGHT, TURNING):
            means, covs = self.state.copy(), self.cov.copy()
            means[STRAIGHT, :, 4] = self.state[TURNING, :, 4]
            covs[STRAIGHT, :, 4], covs[STRAIGHT, :, :, 4] = 0.0, 0.0
            covs[STRAIGHT, :, 4, 4] = self.cov[TURNING, :, 4, 4]
            state[to], cov[to] = _mixed(share[:, to], means, covs)
        self.state, self.cov, self.weight = state, cov, weight
        for m in (STRAIGHT, TURNING):
            self.state[m], self.cov[m] = self.moved(m, step)

    def moved(self, model: int, step: Floats) -> tuple[Floats, Floats]:
        """States and covariances of one model (N,) seconds later."""
        state, slope = (_turned if model == TURNING else _straight)(self.state[model], step)
        cov = slope @ self.cov[model] @ slope.transpose(0, 2, 1)
        for axis in (0, 1):
            cov[:, axis, axis] += self.push * step**3 / 3
            cov[:, axis, axis + 2] += self.push * step**2 / 2
            cov[:, axis + 2, axis] += self.push * step**2 / 2
            cov[:, axis + 2, axis + 2] += self.push * step
        limit = self.settings.start_turn**2
        grown = np.minimum(cov[:, 4, 4] + self.veer * step, np.maximum(cov[:, 4, 4], limit))
        cov[:, 4, 4] = grown  # a turn rate cannot become ever less certain
        return state, cov

    def see(self, k: int) -> None:
        """Takes the places of step k, and weighs the models by how well each foretold them."""
        seen = self.tracks.seen[k]
        if not seen.any():
            return
        noise = np.where(seen[:, None, None], self.tracks.spread[k], np.eye(2))
        score = np.zeros_like(self.weight)
        for m in (STRAIGHT, TURNING):
            off = np.where(seen[:, None], self.tracks.places[k] - self.state[m, :, :2], 0.0)
            inside = self.cov[m, :, :2, :2] + noise
            gain = np.linalg.solve(inside, self.cov[m, :, :2]).transpose(0, 2, 1)
            distance = (off[:, None] @ np.linalg.solve(inside, off[..., None]))[:, 0, 0]
            score[m] = -0.5 * (distance + np.linalg.slogdet(inside)[1])
            left = np.eye(STATE) - np.concatenate([gain, np.zeros((len(gain), STATE, STATE - 2))], axis=2)
            state = self.state[m] + (gain @ off[..., None])[..., 0]
            cov = left @ self.cov[m] @ left.transpose(0, 2, 1) + gain @ noise @ gain.transpose(0, 2, 1)
            self.state[m] = np.where(seen[:, None], state, self.state[m])
            self.cov[m] = np.where(seen[:, None, None], cov, self.cov[m])
        told = self.weight * np.exp(score - score.max(axis=0))
        told /= told.sum(axis=0)
        self.weight = np.where(seen, np.clip(told, 1e-6, 1 - 1e-6), self.weight)


def _straight(state: Floats, step: Floats) -> tuple[Floats, Floats]:
    """(N, 5) states (N,) seconds later with a steady velocity, and the (N, 5, 5) slope."""
    slope = np.repeat(np.eye(STATE)[None], len(state), axis=0)
    slope[:, 0, 2] = slope[:, 1, 3] = step
    return (slope @ state[..., None])[..., 0], slope


def _turned(state: Floats, step: Floats) -> tuple[Floats, Floats]:
    """Likewise with a steady turn rate (Bar-Shalom et al. 2001, section 11.7.1)."""
    vx, vy, rate = state[:, 2], state[:, 3], state[:, 4]
    angle = rate * step
    s, c = np.sin(angle), np.cos(angle)
    small = np.abs(angle) < SLOW
    safe = np.where(small, 1.0, rate)
    along = np.where(small, step * (1 - angle**2 / 6), s / safe)  # sin(wt)/w
    aside = np.where(small, step * angle / 2, (1 - c) / safe)  # (1 - cos(wt))/w
    d_along = np.where(small, -angle * step**2 / 3, (step * c - along) / safe)
    d_aside = np.where(small, step**2 / 2 - angle**2 * step**2 / 8, (step * s - aside) / safe)
    moved = state.copy()
    moved[:, 0] += along * vx - aside * vy
    moved[:, 1] += aside * vx + along * vy
    moved[:, 2], moved[:, 3] = c * vx - s * vy, s * vx + c * vy
    slope = np.repeat(np.eye(STATE)[None], len(state), axis=0)
    slope[:, 0, 2], slope[:, 0, 3] = along, -aside
    slope[:, 1, 2], slope[:, 1, 3] = aside, along
    slope[:, 2, 2], slope[:, 2, 3], slope[:, 3, 2], slope[:, 3, 3] = c, -s, s, c
    slope[:, 0, 4], slope[:, 1, 4] = d_along * vx - d_aside * vy, d_aside * vx + d_along * vy
    slope[:, 2, 4], slope[:, 3, 4] = -step * moved[:, 3], step * moved[:, 2]
    return moved, slope


def _mixed(weight: Floats, state: Floats, cov: Floats) -> tuple[Floats, Floats]:
    """Mean (N, S) and covariance (N, S, S) of a mixture of two: weights (2, N), states (2, N, S)."""
    mean = (weight[..., None] * state).sum(axis=0)
    off = state - mean
    whole = cov + off[..., :, None] * off[..., None, :]
    return mean, (weight[..., None, None] * whole).sum(axis=0)
