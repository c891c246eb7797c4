"""What was found in frames, as BOP's results: masks in its COCO form, poses as its CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from delineate.apply.point_cloud import oriented_box
from delineate.apply.scene_cloud import LEAST_POINTS
from delineate.data.bop_scene import BopResult, write_results
from delineate.data.write import atomic

from .grasp import GraspResult
from .grasp_sources import Frame


def write_bop(found: Sequence[tuple[Frame, GraspResult]], out: Path) -> list[Path]:
    """BOP's results: masks as ``bop_masks.json`` (its COCO form), boxes' poses as ``bop_boxes.csv``.

    No model of an object is fitted: R and t are those of the box around what shows of it, its longest side
    along x. They are no estimate of the pose of BOP's models.
    """
    masks: list[dict[str, Any]] = []
    boxes: list[BopResult] = []
    for number, (frame, one) in enumerate(found):
        scene, image = (frame.bop.scene_id, frame.bop.im_id) if frame.bop is not None else (0, number)
        seconds = one.found.seconds["total"]
        rows = one.instances.to_coco(image_id=image)
        plane = one.found.scene.support
        for i, row in enumerate(rows):
            masks.append(
                {
                    "scene_id": scene,
                    "image_id": image,
                    "category_id": row["category_id"],
                    "score": float(one.instances.scores[i]),
                    "bbox": row["bbox"],
                    "segmentation": row["segmentation"],
                    "time": seconds,
                }
            )
            cloud = one.found.scene.clouds[i]
            box = oriented_box(cloud, None if plane is None else plane.normal)
            if box is not None and len(cloud) >= LEAST_POINTS:
                score = float(one.instances.scores[i])
                boxes.append(BopResult(scene, image, row["category_id"], score, box.pose, seconds))
    with atomic(out / "bop_masks.json") as temporary:
        temporary.write_text(json.dumps(masks), encoding="utf-8")
    return [out / "bop_masks.json", write_results(out / "bop_boxes.csv", boxes)]


__all__ = ["write_bop"]
