"""An exported model that finds objects without PyTorch: a runtime computes the graph, NumPy does the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.arrays import ArrayBatch, collate_arrays
from delineate.core.errors import CheckpointError, InputError
from delineate.core.image_model import ImageModel
from delineate.core.input_spec import Brightness
from delineate.core.instances import Instances
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.models.voting import Grouping

from .manifest import Manifest
from .objects import Arrays, View, Wanted, objects_of, objects_of_votes
from .runners import RUNTIMES, Runner
from .segments import SURE, classes_of_pixels, merged, panoptic_of_queries, semantic_of_queries

if TYPE_CHECKING:
    from delineate.core.batch import Batch

ENDINGS = (".onnx", ".xml")
NEEDED = {
    "maps": ("classes", "offsets"),
    "pixels": ("logits",),
    "detections": ("boxes", "scores", "labels"),
}
"""What a graph of each kind gives at least."""
RANKS = {
    "classes": 4, "offsets": 4, "logits": 4, "boxes": 3, "scores": 2, "labels": 2, "rows": 2, "masks": 4,
    "stuff": 4, "shares": 3, "sure": 2,
}  # fmt: skip
"""Axes of each output, the batch's among them."""


class Session(ImageModel):
    """An exported model; whatever takes a :class:`ImageModel` takes it.

    Args:
        path: an ``.onnx`` or ``.xml`` file written by :func:`delineate.runtime.export.export`.
        runtime: "onnxruntime" or "openvino"; default by the file's ending. OpenVINO runs both. "torch.export"
            runs a ``.pt2`` file, **and whatever code it holds**: only for files you wrote.
        threads: of the processor; default as the runtime chooses.

    Attributes:
        manifest: what the file says of itself.
        name: of the model, such as "nuclei".
        runner: what computes the graph.

    Raises:
        CheckpointError: no such file, damaged, not exported by delineate, or by an old version.
        MissingDependencyError: the runtime is not installed.

    Example:
        ``Session("model.onnx").find_instances([image])[0]`` gives :class:`Instances`.
    """

    def __init__(self, path: str | Path, runtime: str | None = None, threads: int | None = None) -> None:
        path = Path(path)
        chosen = runtime or ("openvino" if path.suffix.lower() == ".xml" else "onnxruntime")
        endings = (".pt2",) if chosen == "torch.export" else ENDINGS
        if chosen not in RUNTIMES or path.suffix.lower() not in endings:
            raise InputError(
                f"session: expected a .onnx or .xml file and onnxruntime or openvino, got {path.name!r} "
                f"and {chosen!r}; choose others"
            )
        if not path.is_file():
            raise CheckpointError(f"{path}: expected an exported model, got no such file; check the path")
        self.path = path
        self.runner: Runner = RUNTIMES[chosen](path, threads)
        self.manifest = Manifest.from_json(self.runner.manifest or "{}", str(path))
        self._check_manifest()
        self.classes, self.input = self.manifest.classes, self.manifest.input
        self.settings, self.family = self.manifest.settings, self.manifest.family
        self.name = self.manifest.name or self.manifest.family

    def _check_manifest(self) -> None:
        kind, names = self.manifest.result.kind, self.manifest.outputs
        if kind not in NEEDED:
            raise CheckpointError(
                f"{self.path}: expected a graph that ends in objects, got one of an older version; "
                "export it again"
            )
        needed = NEEDED[kind] + (("masks",) if self.manifest.result.masks else ())
        needed += ("rows",) if self.manifest.result.masks == "image" else ()
        if set(needed) - set(names) or set(names) - set(RANKS) or len(set(names)) != len(names):
            raise CheckpointError(
                f"{self.path}: expected outputs {', '.join(needed)}, got {', '.join(names)}; export it again"
            )
        if kind == "maps":
            try:
                self.grouping = Grouping(**self.manifest.settings.get("grouping", {}))
            except (TypeError, InputError) as error:
                raise CheckpointError(
                    f"{self.path}: expected settings of {self.manifest.family!r}, got others ({error}); "
                    "export it again"
                ) from None

    @property
    def tasks(self) -> tuple[str, ...]:
        """As the manifest says."""
        return self.manifest.result.tasks

    @property
    def context(self) -> int | None:
        """As the family's own where it takes windows of any size; None with a fixed size."""
        return self.manifest.context if self.manifest.dynamic else None

    def __call__(self, images: NDArray[Any], sizes: NDArray[Any] | None = None) -> dict[str, NDArray[Any]]:
        """What the graph says, by the outputs' names; the next call may overwrite it.

        Args:
            images: (B, 3, H, W) float32, normalised; the size is fixed unless the manifest
                says ``dynamic``, and B is 1 unless it says that or ``batches``.
            sizes: (B, 2) height and width of the part of each that is image; None: all of it.

        Raises:
            InputError: another size than the graph's.
            CheckpointError: the graph does not give what its manifest promises.
        """
        wanted = (len(images) if self.manifest.batches else 1, 3, *self.manifest.size)
        if not self.manifest.dynamic and tuple(images.shape) != wanted:
            raise InputError(
                f"session: expected images of shape {wanted}, got {tuple(images.shape)}; "
                "use find_instances, which pads, or export with dynamic sizes"
            )
        given = {"images": np.ascontiguousarray(images, dtype=np.float32)}
        whole = [images.shape[2:]] * len(images)
        given["sizes"] = np.asarray(whole if sizes is None else sizes, dtype=np.float32).reshape(-1, 2)
        try:
            arrays = self.runner(*(given[name] for name in self.manifest.inputs))
        except Exception as error:  # runtimes have exceptions of their own, without a common base
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise CheckpointError(
                f"{self.path}: expected a graph that computes images of {tuple(images.shape)}, got a failure "
                f"({reason}); export it again"
            ) from None
        return self._checked(arrays, len(images))

    def _checked(self, arrays: Sequence[NDArray[Any]], batch: int) -> dict[str, NDArray[Any]]:
        """The outputs by name, of the shapes that go together."""
        names, result = self.manifest.outputs, self.manifest.result
        if len(arrays) != len(names):
            raise self._unfit(f"{len(arrays)} outputs")
        found = dict(zip(names, arrays, strict=True))
        for name, array in found.items():
            if array.ndim != RANKS[name] or len(array) != batch or 0 in array.shape[2:]:
                raise self._unfit(f"{name} {array.shape}")
            if name in ("boxes", "scores") and not np.isfinite(array).all():
                raise self._unfit(f"{name} with NaN or infinity")
        if result.kind == "detections":
            self._check_rows(found)
        elif (maps := found[NEEDED[result.kind][0]]).shape[1] != len(self.classes):
            raise self._unfit(f"{maps.shape[1]} classes")
        return found

    def _check_rows(self, found: dict[str, NDArray[Any]]) -> None:
        """Rows, masks and queries of one graph belong together."""
        count = found["scores"].shape[1]
        masks = found["masks"].shape[1] if "masks" in found else count
        stuff = len(self.classes.things) - sum(self.classes.things)
        wanted = {
            "boxes": (count, 4), "labels": (count,), "rows": (count,), "sure": (masks,),
            "shares": (masks, len(self.classes)),
        }  # fmt: skip
        for name, shape in wanted.items():
            if name in found and found[name].shape[1:] != shape:
                raise self._unfit(f"{name} {found[name].shape}")
        if "rows" not in found and masks != count:
            raise self._unfit(f"{masks} masks of {count} rows")
        if "stuff" in found and found["stuff"].shape[1] != stuff + 1:
            raise self._unfit(f"stuff {found['stuff'].shape}")
        if "rows" in found and count and not 0 <= found["rows"].min() <= found["rows"].max() < masks:
            raise self._unfit("rows beyond the masks")

    def _unfit(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: expected outputs as the manifest tells ({', '.join(self.manifest.outputs)}), "
            f"got {what}; export it again"
        )

    def batches(self, batch: Batch | ArrayBatch) -> list[ArrayBatch]:
        """A batch as the graph takes it: as it is, or padded to the graph's size, together or one by one.

        Raises:
            InputError: images larger than the graph's input.
        """
        arrays = ArrayBatch(np.asarray(batch.images), batch.sizes, batch.originals)
        if self.manifest.dynamic:
            return [arrays]
        size = self.manifest.size
        return [arrays.stacked(size)] if self.manifest.batches else arrays.padded(size)

    def _said(self, batch: Batch | ArrayBatch) -> Iterator[tuple[Arrays, View]]:
        """Of each image what the graph says, and where it lies; the next may overwrite it."""
        for part in self.batches(batch):
            outputs = self(part.images, np.array(part.sizes, dtype=np.float32))
            for index in range(len(part)):
                yield outputs, View(part, index)

    def detect(
        self,
        batch: Batch | ArrayBatch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """The objects of each image of a batch; see :meth:`ImageModel.find_instances` for the limits.

        Raises:
            InputError: images larger than the graph's input, or a family that finds no objects.
        """
        if "instance" not in self.tasks:
            raise self.without("instance")
        wanted = Wanted(confidence, iou, max_det)
        return [self._objects(*said, wanted) for said in self._said(batch)]

    def _objects(self, outputs: Arrays, view: View, wanted: Wanted) -> Instances:
        if self.manifest.result.kind == "maps":
            return objects_of_votes(outputs, view, self.classes, self.grouping, wanted)
        return objects_of(self.manifest.result, outputs, view, self.classes, wanted)

    def find_instances(
        self,
        images: Sequence[NDArray[Any]],
        *,
        brightness: Brightness | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        """As :class:`ImageModel` says."""
        batch = collate_arrays(images, self.input, brightness)
        return self.detect(batch, confidence=confidence, iou=iou, max_det=max_det)

    def find_semantic(self, images: Sequence[NDArray[Any]]) -> list[Semantic]:
        """As :class:`ImageModel` says."""
        if "semantic" not in self.tasks:
            raise self.without("semantic")
        return [self._semantic(*said) for said in self._said(collate_arrays(images, self.input))]

    def _semantic(self, outputs: Arrays, view: View) -> Semantic:
        if self.manifest.result.kind == "pixels":
            return classes_of_pixels(outputs["logits"][view.index], view, self.classes)
        if "shares" in outputs:
            return semantic_of_queries(outputs, view, self.classes)
        objects = self._objects(outputs, view, Wanted(SURE))
        return merged(objects, outputs["stuff"][view.index], view, 0.0, 0.0).to_semantic()

    def find_panoptic(
        self,
        images: Sequence[NDArray[Any]],
        *,
        confidence: float | None = None,
        visible: float | None = None,
    ) -> list[Panoptic]:
        """As :class:`ImageModel` says."""
        if "panoptic" not in self.tasks:
            raise self.without("panoptic")
        found = []
        for outputs, view in self._said(collate_arrays(images, self.input)):
            if "shares" in outputs:
                sure = self.manifest.result.sure if confidence is None else confidence
                found.append(panoptic_of_queries(outputs, view, self.classes, sure, visible))
                continue
            objects = self._objects(outputs, view, Wanted(SURE if confidence is None else confidence))
            found.append(merged(objects, outputs["stuff"][view.index], view, visible))
        return found
