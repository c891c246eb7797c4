"""`load`: a model by name, or from your own weights, ready to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from delineate.core.errors import TORCH, CheckpointError, InputError, MissingDependencyError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.data.limits import MAX_PIXELS
from delineate.runtime.session import ENDINGS, Session

from .predict import Progress, check_settings, predict
from .segment import panoptic, semantic
from .source import Channels, pixels_of

if TYPE_CHECKING:
    import torch

    from delineate.models.base import Segmenter

    from .report import Report

DEFAULT = "nuclei"
FILES = (".safetensors", ".pth", ".pt", ".pkl", *ENDINGS)  # a name that ends so is a file of weights


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A model ready to predict; it keeps nothing between calls.

    Attributes:
        segmenter: the network, as trained, which :meth:`save` writes; or an exported graph.
        name: its name in the zoo.
        licence: SPDX name of the weights' licence; empty where unknown.
        record: what the checkpoint tells of its training.
        device: where it computes.

    Example:
        >>> import numpy as np
        >>> from delineate.models.zoo import build
        >>> model = Model(build("center_offset", channels=(8, 8)))
        >>> model.predict(np.zeros((64, 64), np.uint8), confidence=1.0)
        Instances(0 on 64 x 64: none)
    """

    segmenter: Segmenter | Session
    name: str = ""
    licence: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    device: torch.device | str = "cpu"
    _ready: Segmenter | Session = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", self.segmenter.eval().move(self.device))
        object.__setattr__(self, "_ready", self.segmenter.prepared())

    @property
    def network(self) -> Segmenter:
        """The network in PyTorch, which can be trained on, saved and exported.

        Raises:
            CheckpointError: there is none, for the model is an exported graph.
        """
        if isinstance(self.segmenter, Session):
            raise CheckpointError(
                f"{self.segmenter.path}: expected a network with weights, got none in an exported graph; "
                "give the weights it was exported from"
            )
        return self.segmenter

    @property
    def classes(self) -> Labels:
        """What it finds."""
        return self.segmenter.classes

    def predict(
        self,
        source: Any,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        tile: int | str = "auto",
        channels: Channels | None = None,
        page: int | None = None,
        max_pixels: int = MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Instances:
        """The objects of one image, in its pixels.

        Args:
            source: a path, a file's bytes, an open file, an (H, W) or (H, W, C) array, a PIL image, or a
                (C, H, W) tensor.
            confidence: keep scores above it, 0..1; None is the model's default.
            iou: suppression threshold, 0..1; None is the model's default.
            max_det: at most so many objects; a cut is logged as a warning.
            tile: ``"auto"`` cuts large images as the model asks, 0 never, N in windows of N pixels.
            channels: one or three channels of a multi-channel image, from 0.
            page: of a multi-page file, from 0.
            max_pixels: refuse larger files.
            progress: called with (tiles done, tiles in all).

        Raises:
            InputError: not an image, damaged, or a setting out of range; the message says how to mend it.
        """
        image = pixels_of(source, channels=channels, page=page, max_pixels=max_pixels)
        return predict(
            self._ready, image, confidence=confidence, iou=iou, max_det=max_det, tile=tile, progress=progress
        )

    def predict_together(
        self,
        images: Sequence[NDArray[Any]],
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """The objects of several images in one pass of the network; none of them is cut in tiles.

        Args:
            images: (H, W) or (H, W, 3) each, of one size at best: smaller ones are padded to the largest.
            confidence: as for :meth:`predict`.
            iou: as there.
            max_det: as there.

        Raises:
            InputError: not an image, or a setting out of range.
        """
        check_settings(confidence, iou, max_det)
        limits: dict[str, Any] = {"confidence": confidence, "iou": iou, "max_det": max_det}
        return self._ready.find_instances([pixels_of(image) for image in images], **limits)

    def semantic(self, source: Any, **reading: Any) -> Semantic:
        """The class of every pixel of one image, by a family that says it.

        Args:
            source: as for :meth:`predict`.
            reading: ``channels``, ``page`` and ``max_pixels``, as there.

        Raises:
            InputError: another family, or not an image.
        """
        return semantic(self._ready, pixels_of(source, **reading))

    def panoptic(
        self, source: Any, *, confidence: float | None = None, visible: float | None = None, **reading: Any
    ) -> Panoptic:
        """The segments of one image, things and stuff, by a family that has them.

        Args:
            source: as for :meth:`predict`.
            confidence: what is surer takes part, 0..1; None is the family's default.
            visible: leave out what wins less than this part of its own mask, 0..1; None: the family's
                default.
            reading: ``channels``, ``page`` and ``max_pixels``, as for :meth:`predict`.

        Raises:
            InputError: another family, a setting out of range, or not an image.
        """
        return panoptic(self._ready, pixels_of(source, **reading), confidence=confidence, visible=visible)

    def __call__(self, image: Any) -> Instances:
        """:meth:`predict` with the model's own settings."""
        return self.predict(image)

    def evaluate(self, dataset: Any, **settings: Any) -> Report:
        """Score it on a dataset; see :func:`delineate.evaluate`."""
        from .evaluate import evaluate

        return evaluate(self, dataset, **settings)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file that :func:`load` reads back, atomically."""
        from . import checkpoint

        return checkpoint.save(path, self.network, record=self.record, licence=self.licence)

    def __repr__(self) -> str:
        names = ", ".join(self.classes.names[:4]) + (", …" if len(self.classes) > 4 else "")
        if isinstance(self.segmenter, Session):
            return f"Model({self.name}: {names}; exported, on {self.device})"
        million = sum(p.numel() for p in self.segmenter.parameters()) / 1e6
        return f"Model({self.name}: {names}; {million:.1f} M parameters on {self.device})"


def load(
    name: str | Path | None = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Model:
    """A model, ready to predict.

    Args:
        name: of the zoo, see ``delineate models``; default ``nuclei``. A path to a file of weights counts as
            ``weights``. With ``weights`` it is needed only for files that do not say which model they are for
            (bare state dicts, torchvision's included); published Mask2Former, Mask DINO and DI-MaskDINO are
            known by their weights.
        weights: your own file, as ``delineate train`` or ``delineate export`` writes it (``.onnx`` or
            ``.xml``); default the published ones, downloaded on first use where they are not part of the
            package.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; default CUDA where there is one, else the CPU.

    Raises:
        InputError: unknown name or device.
        CheckpointError: weights that are damaged, unsafe or made for another model.
        DownloadError: weights that cannot be had.
    """
    if weights is None and isinstance(name, str | Path) and Path(name).suffix.lower() in FILES:
        name, weights = None, name
    if name is not None and not isinstance(name, str):
        raise InputError(
            f"load, name: expected a text, got {type(name).__name__}; give a file as load(weights=...)"
        )
    if weights is not None and not isinstance(weights, str | Path):
        raise InputError(f"load, weights: expected a path, got {type(weights).__name__}; save them first")
    if name is None and weights is None:
        name = DEFAULT
    if weights is not None and Path(weights).suffix.lower() in ENDINGS:
        return _exported(Path(weights), name, device)
    try:
        from .load_network import device_of, network
    except ModuleNotFoundError as error:
        if error.name not in TORCH:
            raise
        raise MissingDependencyError(
            f"{weights or name}: expected PyTorch to run it, got none; pip install delineate, or give a "
            "model that `delineate export` wrote (.onnx, .xml)"
        ) from None
    where = device_of(device)
    model, name, licence, record = network(name, None if weights is None else Path(weights))
    return Model(model, name, licence, record, where)


def _exported(path: Path, name: str | None, device: str | torch.device | None) -> Model:
    """A model that an exported graph runs, on the CPU."""
    session = Session(path)
    return Model(session, name or session.name, session.manifest.licence, {}, session.move(device or "cpu"))
