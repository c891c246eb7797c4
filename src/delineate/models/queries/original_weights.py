"""The originals' published weights, key by key into our names.

Two spellings: the original's (detectron2) and its older one (``static_query``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from ..published import copy_translated

# (the original's name, ours), tried in turn; the first that matches the start of a key is taken.
RESNET = (
    (r"backbone\.stem\.conv1\.norm\.", r"backbone.bn1."),
    (r"backbone\.stem\.conv1\.", r"backbone.conv1."),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.norm\.", r"backbone.layer{0}.\2.downsample.1."),
    (r"backbone\.res(\d)\.(\d+)\.shortcut\.", r"backbone.layer{0}.\2.downsample.0."),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.norm\.", r"backbone.layer{0}.\2.bn\3."),
    (r"backbone\.res(\d)\.(\d+)\.conv(\d)\.", r"backbone.layer{0}.\2.conv\3."),
)
SWIN = (
    (r"backbone\.patch_embed\.", r"backbone.patch_embed."),
    (r"backbone\.layers\.(\d)\.downsample\.", r"backbone.layers.{next}.downsample."),
    (r"backbone\.layers\.(\d)\.", r"backbone.layers.\1."),
    (r"backbone\.norm(\d)\.", r"backbone.norms.\1."),
)  # fmt: skip
_PIXEL = r"sem_seg_head\.pixel_decoder\."
_ENCODER = _PIXEL + r"transformer\.encoder\.layers\."
_PREDICTOR = r"sem_seg_head\.predictor\."
PIXEL_DECODER = (
    (_PIXEL + r"input_proj\.(\d)\.", r"pixel_decoder.project.{stride}."),
    (_PIXEL + r"transformer\.level_embed$", r"pixel_decoder.level_code"),
    (_ENCODER + r"(\d+)\.self_attn\.sampling_offsets\.", r"pixel_decoder.layers.\1.attention.offsets."),
    (_ENCODER + r"(\d+)\.self_attn\.attention_weights\.", r"pixel_decoder.layers.\1.attention.weights."),
    (_ENCODER + r"(\d+)\.self_attn\.value_proj\.", r"pixel_decoder.layers.\1.attention.value."),
    (_ENCODER + r"(\d+)\.self_attn\.output_proj\.", r"pixel_decoder.layers.\1.attention.output."),
    (_ENCODER + r"(\d+)\.", r"pixel_decoder.layers.\1."),
    (_PIXEL + r"adapter_1\.norm\.", r"pixel_decoder.lateral.1."),
    (_PIXEL + r"adapter_1\.", r"pixel_decoder.lateral.0."),
    (_PIXEL + r"layer_1\.norm\.", r"pixel_decoder.smooth.1."),
    (_PIXEL + r"layer_1\.", r"pixel_decoder.smooth.0."),
    (_PIXEL + r"mask_features\.", r"pixel_decoder.to_masks."),
)  # fmt: skip
_LAYERS = _PREDICTOR + r"transformer_{}_attention_layers\.(\d+)\."
MASKED_DECODER = (
    (_LAYERS.format("self") + r"(?:self_attn\.)?", r"decoder.layers.\1.own."),
    (_LAYERS.format("cross") + r"(?:multihead_attn\.)?", r"decoder.layers.\1.cross."),
    (_PREDICTOR + r"transformer_ffn_layers\.(\d+)\.", r"decoder.layers.\1.feed_forward."),
    (_PREDICTOR + r"decoder_norm\.", r"decoder.norm."),
    (_PREDICTOR + r"(?:query_feat|static_query)\.", r"decoder.content."),
    (_PREDICTOR + r"query_embed\.", r"decoder.place."),
    (_PREDICTOR + r"level_embed\.", r"decoder.level_code."),
    (_PREDICTOR + r"class_embed\.", r"decoder.to_classes."),
    (_PREDICTOR + r"mask_embed\.layers\.(\d)\.", r"decoder.to_masks.{twice}."),
)  # fmt: skip
_BOX_LAYERS = _PREDICTOR + r"decoder\.layers\.(\d+)\."
BOX_DECODER = (
    (_PREDICTOR + r"enc_output\.", r"decoder.select.0."),
    (_PREDICTOR + r"enc_output_norm\.", r"decoder.select.1."),
    (_PREDICTOR + r"label_enc\.", r"decoder.labels."),
    (_PREDICTOR + r"_bbox_embed\.layers\.(\d)\.", r"decoder.to_boxes.{twice}."),
    (_PREDICTOR + r"decoder\.ref_point_head\.layers\.(\d)\.", r"decoder.place.{twice}."),
    (_BOX_LAYERS + r"self_attn\.", r"decoder.layers.\1.own."),
    (_BOX_LAYERS + r"norm2\.", r"decoder.layers.\1.own.norm."),
    (_BOX_LAYERS + r"cross_attn\.sampling_offsets\.", r"decoder.layers.\1.cross.offsets."),
    (_BOX_LAYERS + r"cross_attn\.attention_weights\.", r"decoder.layers.\1.cross.weights."),
    (_BOX_LAYERS + r"cross_attn\.value_proj\.", r"decoder.layers.\1.cross.value."),
    (_BOX_LAYERS + r"cross_attn\.output_proj\.", r"decoder.layers.\1.cross.output."),
    (_BOX_LAYERS + r"", r"decoder.layers.\1."),
)  # fmt: skip
_BALANCE = _PREDICTOR + r"oldm\."
BALANCED_DECODER = (
    (_BALANCE + r"layers\.(\d+)\.self_attn\.", r"decoder.balance.layers.\1.attention."),
    (_BALANCE + r"layers\.(\d+)\.norm1\.", r"decoder.balance.layers.\1.attention.norm."),
    (_BALANCE + r"layers\.(\d+)\.", r"decoder.balance.layers.\1."),
    (_BALANCE + r"ref_point_head\.layers\.(\d)\.", r"decoder.balance.place.{twice}."),
    (_PREDICTOR + r"oldm_norm\.", r"decoder.balance.norm."),
    (_PREDICTOR + r"_oldm_bbox_embed\.layers\.(\d)\.", r"decoder.balance.to_boxes.{twice}."),
    (_PREDICTOR + r"query_guide_feature_update\.multihead_attn\.", r"decoder.update.attention."),
    (_PREDICTOR + r"query_guide_feature_update\.norm1\.", r"decoder.update.attention.norm."),
    (_PREDICTOR + r"query_guide_feature_update\.", r"decoder.update."),
    (_PREDICTOR + r"decoder\.mask_output_conv\.norm\.", r"decoder.new_masks.1."),
    (_PREDICTOR + r"decoder\.mask_output_conv\.", r"decoder.new_masks.0."),
)  # fmt: skip
# One box network, stored once per layer and twice over: copies of ``_bbox_embed``.
COPIES = re.compile(
    _PREDICTOR
    + r"(?:(?:decoder\.)?(?:bbox_embed\.\d+|norm|class_embed|mask_embed|query_guide_feature_update)"
    + r"|oldm\.(?:bbox_embed\.\d+|norm|class_embed)|oldm_bbox_embed\.\d+)\."
)
# Constants, not weights: of the criterion, and which row of a table two cells of a window share.
IGNORED = re.compile(r"criterion\.empty_weight$|backbone\..*\.(?:relative_position_index|attn_mask)$")


def our_name(key: str, order: tuple[int, ...]) -> str | None:
    """Our name of an original's key; None where there is none.

    Example:
        >>> our_name("sem_seg_head.predictor.static_query.weight", (32, 16, 8))
        'decoder.content.weight'
        >>> our_name("backbone.res2.0.shortcut.norm.bias", (32, 16, 8))
        'backbone.layer1.0.downsample.1.bias'
    """
    for pattern, ours in (*RESNET, *SWIN, *PIXEL_DECODER, *MASKED_DECODER, *BOX_DECODER, *BALANCED_DECODER):
        found = re.match(pattern, key)
        if found:
            if "{0}" in ours:
                ours = ours.replace("{0}", str(int(found[1]) - 1))
            elif "{next}" in ours:
                ours = ours.replace("{next}", str(int(found[1]) + 1))
            elif "{stride}" in ours:
                ours = ours.replace("{stride}", str(order[int(found[1])]))
            elif "{twice}" in ours:
                ours = ours.replace("{twice}", str(2 * int(found[1])))
            return str(found.expand(ours)) + key[found.end() :]
    return None


def load_original(model: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Copy an original's state dict into the model of the same variant.

    Returns:
        False where the names are not an original's; nothing is copied then.

    Raises:
        CheckpointError: keys without a place, places without a key, or other shapes; nothing is copied.
    """
    if not any(key.startswith("sem_seg_head.") for key in weights):
        return False
    own = model.state_dict()
    order = model.pixel_decoder.order  # type: ignore[union-attr]
    named: dict[str, Tensor] = {}
    strangers: list[str] = []
    for key, value in weights.items():
        name = our_name(key, order)  # type: ignore[arg-type]
        if name in own:
            named[name] = value
        elif not IGNORED.match(key) and not COPIES.match(key):
            strangers.append(key)
    copy_translated(
        model, named, strangers, whose="original",
        mend="build the variant that the file was made for (backbone, queries, layers, classes)",
    )  # fmt: skip
    return True
