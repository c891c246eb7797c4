"""The released weights (github.com/dbolya/yolact, 2019), key by key into our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from delineate.core.errors import CheckpointError

from ..published import copy_translated

# (pattern of the original's name, ours); its lists of levels begin at the top, ours at the finest.
NAMES = (
    (r"backbone\.layers\.(\d+)\.0\.([01])\.(.+)", r"body.net.stages.\1.0.\2.\3"),  # DarkNet-53's strided ones
    (r"backbone\.layers\.(\d+)\.(\d+)\.(conv[12]\.[01])\.(.+)", r"body.net.stages.\1.\2.\3.\4"),
    (r"backbone\._preconv\.(.+)", r"body.net.stem.\1"),
    (r"backbone\.((?:conv|bn)1\..+)", r"body.net.\1"),
    (r"proto_net\.8\.(.+)", r"prototypes.after.conv.\1"),
    (r"proto_net\.10\.(.+)", r"prototypes.out.\1"),
    (r"fpn\.downsample_layers\.(.+)", r"neck.extra.\1"),
    (r"prediction_layers\.0\.upfeature\.0\.(.+)", r"head.shared.\1"),
    (r"prediction_layers\.0\.bbox_layer\.(.+)", r"head.offsets.\1"),
    (r"prediction_layers\.0\.conf_layer\.(.+)", r"head.logits.\1"),
    (r"prediction_layers\.0\.mask_layer\.(.+)", r"head.coefficients.\1"),
    (r"semantic_seg_conv\.(.+)", r"semantic_head.\1"),
    (r"maskiou_net\.maskiou_net\.10\.(.+)", r"rater.out.\1"),
)
LEVELS = 3  # maps that the pyramid takes from the backbone
# Copies that some releases hold beside the same tensors, and a third convolution that nothing used.
REPEATED = re.compile(r"backbone\.layer\d|fpn\.downsample_layers\.[2-9]")


def is_original(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are names of the original's release."""
    return any(name.startswith("prediction_layers.0.") for name in weights)


def our_name(key: str) -> str | None:
    """Our name of an original's key; None where there is none.

    Example:
        >>> our_name("fpn.lat_layers.0.weight"), our_name("backbone.layers.1.0.bn1.bias")
        ('neck.lateral.2.conv.weight', 'body.net.layer2.0.bn1.bias')
    """
    for pattern, ours in NAMES:
        if re.fullmatch(pattern, key):
            return re.sub(f"^{pattern}$", ours, key)
    stage = re.fullmatch(r"backbone\.layers\.(\d+)\.(.+)", key)
    if stage:  # ResNets count their stages from 1
        return f"body.net.layer{int(stage[1]) + 1}.{stage[2]}"
    level = re.fullmatch(r"fpn\.(lat|pred)_layers\.([0-2])\.(.+)", key)
    if level:
        part = {"lat": "lateral", "pred": "output"}[level[1]]
        return f"neck.{part}.{LEVELS - 1 - int(level[2])}.conv.{level[3]}"
    early = re.fullmatch(r"(proto_net|maskiou_net\.maskiou_net)\.([02468])\.(.+)", key)
    if early:  # every other place is a ReLU's
        place = int(early[2]) // 2
        inside = f"before.{place}.conv" if early[1] == "proto_net" else f"convs.{place}"
        return f"{'prototypes' if early[1] == 'proto_net' else 'rater'}.{inside}.{early[3]}"
    return None


def load_original(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy the original's weights into the model of the same variant.

    Raises:
        CheckpointError: keys without a place, places without a key, or other shapes; nothing is copied then.
    """
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    strangers = []
    for key, value in weights.items():
        if REPEATED.match(key):
            continue
        name = our_name(key)
        if name is not None and name in own:
            found[name] = value
        elif not key.endswith("num_batches_tracked"):
            strangers.append(key)
    if any("conv_offset_mask" in key for key in strangers):
        raise CheckpointError(
            "YOLACT weights: expected a network without deformable convolutions, got YOLACT++'s with them; "
            "they are not built here, take yolact_resnet50, yolact_resnet101 or yolact_darknet53"
        )
    copy_translated(
        model, found, strangers, whose="YOLACT",
        mend="name the variant that the file was made for: yolact_resnet50, yolact_resnet101 or "
        "yolact_darknet53, with the same classes",
    )  # fmt: skip
