"""Where a pixel lies on flat ground: a homography, from a camera's calibration or from known points.

Image points are xy in the house's pixels (the pixel of column i spans i to i + 1). Ground points are metres;
of a camera x points forward, y to the left (ISO 8855), headings are counter-clockwise from x. The plane is
all there is: what stands above it, a roof, is projected far behind itself, so give foot points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from delineate.core.errors import InputError

Floats = NDArray[np.float64]
OPTICAL_TO_BODY = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""From x right, y down, z forward to x forward, y left, z up."""
REFINED = 20  # steps after OpenCV's five when a lens is straightened
FLAT = 1e-9  # smallest singular value over the next, below which points lie on a line


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above flat ground.

    Attributes:
        focal: (fx, fy) in pixels.
        center: (cx, cy), the principal point as OpenCV counts: the middle of the first pixel is (0, 0).
        height: of the camera above the ground in metres, > 0.
        pitch: degrees that it looks down.
        roll: degrees, about the axis forward; positive lowers its right side.
        yaw: degrees that it looks to the left of x.
        position: (x, y) of the camera in metres.
        distortion: OpenCV's coefficients k1, k2, p1, p2[, k3[, k4, k5, k6]], or empty: none.

    Raises:
        InputError: numbers that are no camera.
    """

    focal: tuple[float, float]
    center: tuple[float, float]
    height: float
    pitch: float = 0.0
    roll: float = 0.0
    yaw: float = 0.0
    position: tuple[float, float] = (0.0, 0.0)
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = (*self.focal, *self.center, self.height, self.pitch, self.roll, self.yaw)
        if not np.isfinite((*numbers, *self.position, *self.distortion)).all() or min(self.focal) <= 0:
            raise InputError(
                f"camera: expected finite numbers and focal lengths above 0, got {self}; correct them"
            )
        if self.height <= 0:
            raise InputError(
                f"camera, height: expected metres above the ground, above 0, got {self.height:g}; measure it"
            )
        if len(self.distortion) not in (0, 4, 5, 8):
            raise InputError(
                f"camera, distortion: expected 0, 4, 5 or 8 coefficients, got {len(self.distortion)}; "
                "give them as OpenCV's calibrateCamera does"
            )

    @property
    def matrix(self) -> Floats:
        """(3, 3) from optical axes to pixels, in the house's pixel coordinates."""
        fx, fy = self.focal
        return np.array([[fx, 0, self.center[0] + 0.5], [0, fy, self.center[1] + 0.5], [0, 0, 1]])

    @property
    def projection(self) -> Floats:
        """(3, 4) from metres (x, y, z, 1), z up, to pixels of a lens without distortion."""
        axes = (self.turn @ OPTICAL_TO_BODY).T
        place = np.array([*self.position, self.height])
        return self.matrix @ np.column_stack([axes, -axes @ place])

    @property
    def turn(self) -> Floats:
        """(3, 3) from the camera's body (x forward, y left, z up) to the ground's axes."""
        roll, pitch, yaw = np.radians([self.roll, self.pitch, self.yaw])
        return _about_z(yaw) @ _about_y(pitch) @ _about_x(roll)

    def undistorted(self, points: Floats) -> Floats:
        """(N, 2) pixels where a lens without distortion would have put them."""
        if not any(self.distortion) or not len(points):
            return points
        import cv2

        lens = np.array(self.distortion)
        first = cv2.undistortPoints(points[:, None], self.matrix, lens, None, np.eye(3), self.matrix)
        found: Floats = np.asarray(first, np.float64)[:, 0]
        for _ in range(REFINED):
            found = found + (points - self.distorted(found))
        return found

    def distorted(self, points: Floats) -> Floats:
        """The inverse of :meth:`undistorted`."""
        if not any(self.distortion) or not len(points):
            return points
        import cv2

        rays = np.column_stack([points, np.ones(len(points))]) @ np.linalg.inv(self.matrix).T
        still = np.zeros(3)
        found, _ = cv2.projectPoints(rays, still, still, self.matrix, np.array(self.distortion))
        return np.asarray(found, np.float64)[:, 0]


@dataclass(frozen=True, eq=False)
class Ground:
    """From pixels to metres on the ground and back.

    Attributes:
        homography: (3, 3), from (x, y, 1) in pixels to metres; the third number is above 0 on the ground
            before the camera, and 0 at the horizon.
        camera: for its lens, or None: pixels are straight.
        viewpoint: (2,) metres, below the camera, or None where that is not known.

    Example:
        >>> ground = Ground.of_camera(Camera((1000, 1000), (639.5, 359.5), height=1.5))
        >>> ground.to_ground([[640, 460], [640, 200]]).round(2).tolist()  # a foot 15 m ahead; the sky
        [[15.0, 0.0], [nan, nan]]
    """

    homography: Floats
    camera: Camera | None = None
    viewpoint: Floats | None = None

    def __post_init__(self) -> None:
        matrix = np.asarray(self.homography, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise InputError(
                f"homography: expected 3 x 3 finite numbers, got an array of shape {matrix.shape}; correct it"
            )
        scale = float(np.abs(matrix).max())
        rows = np.linalg.norm(matrix, axis=1)
        if not scale or not rows.min() or abs(np.linalg.det(matrix / rows[:, None])) < 1e-12:
            raise InputError(
                "homography: expected a matrix that can be inverted, got a singular one; calibrate anew"
            )
        object.__setattr__(self, "homography", matrix)

    @classmethod
    def of_matrix(cls, matrix: ArrayLike, size: tuple[int, int] = (1080, 1920)) -> Ground:
        """Of a bare homography from pixels to metres; its sign is such that the picture's foot is ground.

        Args:
            matrix: (3, 3).
            size: (height, width) of the picture in pixels.

        Raises:
            InputError: not a homography, or the horizon runs through the middle of the picture's lower edge.
        """
        ground = cls(np.asarray(matrix, np.float64))
        at = float(ground.homography[2] @ (size[1] / 2, size[0], 1.0))
        if at == 0:
            raise InputError(
                "homography: expected ground at the foot of the picture, got the horizon; calibrate anew"
            )
        return cls(ground.homography * np.sign(at))

    @classmethod
    def of_camera(cls, camera: Camera) -> Ground:
        """Of a calibrated camera above flat ground (Hartley & Zisserman, Multiple View Geometry, 8.1.1)."""
        rays = camera.turn @ OPTICAL_TO_BODY @ np.linalg.inv(camera.matrix)  # pixel to a direction, z up
        x, y = camera.position
        matrix = np.stack([camera.height * rays[0] - x * rays[2], camera.height * rays[1] - y * rays[2]])
        return cls(np.concatenate([matrix, -rays[2:]]), camera, np.array(camera.position, np.float64))

    def to_ground(self, points: ArrayLike) -> Floats:
        """(N, 2) pixels to (N, 2) metres; NaN at and above the horizon."""
        image = self._straight(points)
        with np.errstate(divide="ignore", invalid="ignore"):
            raised = np.column_stack([image, np.ones(len(image))]) @ self.homography.T
            found = raised[:, :2] / raised[:, 2:]
        found[~(raised[:, 2] > 0)] = np.nan
        return found

    def to_image(self, points: ArrayLike) -> Floats:
        """(N, 2) metres to (N, 2) pixels; NaN for ground behind the camera."""
        ground = _points(points)
        raised = np.column_stack([ground, np.ones(len(ground))]) @ np.linalg.inv(self.homography).T
        with np.errstate(divide="ignore", invalid="ignore"):
            found = raised[:, :2] / raised[:, 2:]
        found[~(raised[:, 2] > 0)] = np.nan
        return self.camera.distorted(found) if self.camera is not None else found

    def jacobian(self, points: ArrayLike) -> Floats:
        """(N, 2, 2) metres per pixel at (N, 2) pixels, the lens's bending aside; NaN above the horizon."""
        image = self._straight(points)
        raised = np.column_stack([image, np.ones(len(image))]) @ self.homography.T
        w = np.where(raised[:, 2] > 0, raised[:, 2], np.nan)[:, None, None]
        found: Floats = (self.homography[:2, :2] - (raised[:, :2, None] / w) * self.homography[2, :2]) / w
        return found

    def covariance(self, points: ArrayLike, sd: ArrayLike) -> Floats:
        """(N, 2, 2) square metres that an uncertainty of ``sd`` pixels, (N,) or (N, 2), means there."""
        slope = self.jacobian(points)
        given = np.asarray(sd, np.float64)
        spread = np.broadcast_to(given if given.ndim == 2 else given.reshape(-1, 1), (len(slope), 2))
        scaled = slope * spread[:, None, :]
        return scaled @ scaled.transpose(0, 2, 1)

    def _straight(self, points: ArrayLike) -> Floats:
        image = _points(points)
        return self.camera.undistorted(image) if self.camera is not None else image


@dataclass(frozen=True, eq=False)
class Calibration:
    """A ground plane fitted to points, and how well they fit.

    Attributes:
        ground: the plane.
        metres: (N,) distance on the ground between each given point and where its pixel falls.
        pixels: (N,) distance in the picture between each given pixel and where its ground point falls.
    """

    ground: Ground
    metres: Floats
    pixels: Floats

    def __str__(self) -> str:
        rms = [float(np.sqrt(np.mean(v**2))) for v in (self.metres, self.pixels)]
        return (
            f"{len(self.metres)} points: residuals {rms[0]:.3f} m, {rms[1]:.2f} px (root mean square), "
            f"at most {self.metres.max():.3f} m, {self.pixels.max():.2f} px"
        )


def calibrate(pixels: ArrayLike, metres: ArrayLike) -> Calibration:
    """The homography that brings pixels to known places on the ground.

    The normalised direct linear transform, then least squares of the distances in the picture, where the
    error of a click is (Hartley & Zisserman, Multiple View Geometry, algorithms 4.2 and 4.3). With four
    points the residuals are 0 and say nothing: give more.

    Args:
        pixels: (N, 2), N >= 4, xy.
        metres: (N, 2), the same points on the ground.

    Raises:
        InputError: too few points, or so many on one line that the plane is not determined.

    Example:
        >>> seen = [[100, 400], [500, 400], [420, 200], [180, 200]]
        >>> fit = calibrate(seen, [[0, 0], [4, 0], [4, 10], [0, 10]])
        >>> fit.ground.to_ground([[400, 400]]).round(3)[0, 0].item(), bool(fit.pixels.max() < 1e-6)
        (3.0, True)
    """
    image, ground = _points(pixels), _points(metres)
    if len(image) != len(ground) or len(image) < 4:
        raise InputError(
            f"calibration: expected at least 4 points in pixels and in metres, got {len(image)} and "
            f"{len(ground)}; mark more points whose place on the ground is known"
        )
    if not (np.isfinite(image).all() and np.isfinite(ground).all()):
        raise InputError("calibration: expected finite numbers, got others; correct the points")
    start = _direct(ground, image)  # metres to pixels: errors are in the picture

    def off(free: Floats) -> Floats:
        return (_apply(np.append(free, 1.0).reshape(3, 3), ground - shift) - image).ravel()

    shift = ground.mean(axis=0)  # so that the last number cannot be 0
    start = start @ np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
    with np.errstate(all="ignore"):
        first = (start / start[2, 2]).ravel()[:8]
        fits = np.isfinite(off(first)).all()
    if not fits:
        raise InputError(
            "calibration: expected points of one scale, got some far from the others; correct them"
        )
    fitted = least_squares(off, first, method="lm", x_scale="jac").x
    matrix = np.append(fitted, 1.0).reshape(3, 3) @ np.array(
        [[1, 0, -shift[0]], [0, 1, -shift[1]], [0, 0, 1]]
    )
    back = np.linalg.inv(matrix)
    signs = np.sign(np.column_stack([image, np.ones(len(image))]) @ back[2])
    if abs(signs.sum()) < len(signs):
        raise InputError(
            "calibration: expected all points on one side of the horizon, got some above it; check that each "
            "pixel stands beside its own place in metres"
        )
    plane = Ground(back * signs[0])
    return Calibration(
        plane,
        np.linalg.norm(plane.to_ground(image) - ground, axis=1),
        np.linalg.norm(plane.to_image(ground) - image, axis=1),
    )


def _direct(source: Floats, target: Floats) -> Floats:
    """(3, 3) homography by the normalised direct linear transform."""
    one, two = _normaliser(source), _normaliser(target)
    a, b = _apply(one, source), _apply(two, target)
    ones, nil = np.ones((len(a), 1)), np.zeros((len(a), 3))
    raised = np.hstack([a, ones])
    rows = np.vstack([
        np.hstack([raised, nil, -b[:, :1] * raised]),
        np.hstack([nil, raised, -b[:, 1:] * raised]),
    ])  # fmt: skip
    _, values, basis = np.linalg.svd(rows)
    if len(values) < 8 or values[7] < FLAT**0.5 * values[0]:
        raise InputError(
            "calibration: expected 4 points of which no three lie on a line, got too many on one; mark "
            "points that span the ground"
        )
    found: Floats = np.linalg.inv(two) @ basis[-1].reshape(3, 3) @ one
    return found


def _normaliser(points: Floats) -> Floats:
    """Brings points around 0 at a mean distance of the root of 2."""
    middle = points.mean(axis=0)
    reach = float(np.linalg.norm(points - middle, axis=1).mean())
    scale = np.sqrt(2) / reach if reach else 1.0
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])


def _apply(matrix: Floats, points: Floats) -> Floats:
    raised = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    found: Floats = raised[:, :2] / raised[:, 2:]
    return found


def _points(values: ArrayLike) -> Floats:
    found = np.asarray(values, np.float64)
    if found.size == 0:
        return np.zeros((0, 2))
    if found.ndim != 2 or found.shape[1] != 2:
        raise InputError(f"points: expected shape (N, 2), got {found.shape}; give x and y of each")
    return found


def _about_x(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
