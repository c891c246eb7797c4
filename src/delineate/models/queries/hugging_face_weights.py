"""Hugging Face's ``facebook/mask2former-*`` files, key by key into our names.

``transformers`` has spelt its Swin Transformer in two ways: as in the published files
(``attention.self.query``), and as its models hold them since version 5 (``attention.q_proj``). Queries, keys
and values of an attention are apart in either, and one matrix in ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..published import copy_translated

_ENCODER = r"model\.pixel_level_module\.encoder\.(?:swin\.|model\.)?"
_BLOCK = _ENCODER + r"encoder\.layers\.(\d)\.blocks\.(\d+)\."
_STAGE = _ENCODER + r"encoder\.stages\.(\d)\.layers\.(\d+)\."
_PIXEL = r"model\.pixel_level_module\.decoder\."
_CELLS = _PIXEL + r"encoder\.layers\.(\d+)\."
_QUERIES = r"model\.transformer_module\."
_LAYER = _QUERIES + r"decoder\.layers\.(\d+)\."

# (their beginning, ours); the first that matches is taken. ``{qkv}``: one of three parts of ours.
RESNET = (
    (_ENCODER + r"embedder\.embedder\.convolution\.", r"backbone.conv1."),
    (_ENCODER + r"embedder\.embedder\.normalization\.", r"backbone.bn1."),
    (_STAGE + r"shortcut\.convolution\.", r"backbone.layer{next}.\2.downsample.0."),
    (_STAGE + r"shortcut\.normalization\.", r"backbone.layer{next}.\2.downsample.1."),
    (_STAGE + r"layer\.(\d)\.convolution\.", r"backbone.layer{next}.\2.conv{after}."),
    (_STAGE + r"layer\.(\d)\.normalization\.", r"backbone.layer{next}.\2.bn{after}."),
)
SWIN = (
    (_ENCODER + r"embeddings\.patch_embeddings\.projection\.", r"backbone.patch_embed.proj."),
    (_ENCODER + r"embeddings\.norm\.", r"backbone.patch_embed.norm."),
    (_ENCODER + r"hidden_states_norms\.stage(\d)\.", r"backbone.norms.{before}."),
    (_ENCODER + r"encoder\.layers\.(\d)\.downsample\.", r"backbone.layers.{next}.downsample."),
    (_BLOCK + r"layernorm_before\.", r"backbone.layers.\1.blocks.\2.norm1."),
    (_BLOCK + r"layernorm_after\.", r"backbone.layers.\1.blocks.\2.norm2."),
    (_BLOCK + r"(?:intermediate\.dense|mlp\.fc1)\.", r"backbone.layers.\1.blocks.\2.mlp.fc1."),
    (_BLOCK + r"(?:output\.dense|mlp\.fc2)\.", r"backbone.layers.\1.blocks.\2.mlp.fc2."),
    (
        _BLOCK + r"attention\.(?:output\.dense|o_proj)\.",
        r"backbone.layers.\1.blocks.\2.attn.proj.",
    ),
    (
        _BLOCK + r"attention\.(?:self|relative_position_bias)\.(?=relative_position_bias_table)",
        r"backbone.layers.\1.blocks.\2.attn.",
    ),
    (
        _BLOCK + r"attention\.(?:self\.)?(query|key|value|q_proj|k_proj|v_proj)\.",
        r"backbone.layers.\1.blocks.\2.attn.qkv.{qkv}",
    ),
)  # fmt: skip
PIXEL_DECODER = (
    (_PIXEL + r"level_embed$", r"pixel_decoder.level_code"),
    (_PIXEL + r"input_projections\.(\d)\.", r"pixel_decoder.project.{stride}."),
    (_PIXEL + r"adapter_1\.", r"pixel_decoder.lateral."),
    (_PIXEL + r"layer_1\.", r"pixel_decoder.smooth."),
    (_PIXEL + r"mask_projection\.", r"pixel_decoder.to_masks."),
    (_CELLS + r"self_attn\.sampling_offsets\.", r"pixel_decoder.layers.\1.attention.offsets."),
    (_CELLS + r"self_attn\.attention_weights\.", r"pixel_decoder.layers.\1.attention.weights."),
    (_CELLS + r"self_attn\.value_proj\.", r"pixel_decoder.layers.\1.attention.value."),
    (_CELLS + r"self_attn\.output_proj\.", r"pixel_decoder.layers.\1.attention.output."),
    (_CELLS + r"self_attn_layer_norm\.", r"pixel_decoder.layers.\1.norm1."),
    (_CELLS + r"final_layer_norm\.", r"pixel_decoder.layers.\1.norm2."),
    (_CELLS + r"fc(\d)\.", r"pixel_decoder.layers.\1.linear\2."),
)
DECODER = (
    (_QUERIES + r"queries_embedder\.", r"decoder.place."),
    (_QUERIES + r"queries_features\.", r"decoder.content."),
    (_QUERIES + r"level_embed\.", r"decoder.level_code."),
    (_QUERIES + r"decoder\.layernorm\.", r"decoder.norm."),
    (_QUERIES + r"decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.", r"decoder.to_masks.{twice}."),
    (r"class_predictor\.", r"decoder.to_classes."),
    (_LAYER + r"self_attn\.([qkv])_proj\.", r"decoder.layers.\1.own.in_proj_{qkv}"),
    (_LAYER + r"self_attn\.out_proj\.", r"decoder.layers.\1.own.out_proj."),
    (_LAYER + r"self_attn_layer_norm\.", r"decoder.layers.\1.own.norm."),
    (_LAYER + r"cross_attn_layer_norm\.", r"decoder.layers.\1.cross.norm."),
    (_LAYER + r"cross_attn\.", r"decoder.layers.\1.cross."),
    (_LAYER + r"fc(\d)\.", r"decoder.layers.\1.feed_forward.linear\2."),
    (_LAYER + r"final_layer_norm\.", r"decoder.layers.\1.feed_forward.norm."),
)
# Constants, and what a classifier's backbone ends with, which the originals do not run.
IGNORED = re.compile(
    r"criterion\.|" + _ENCODER + r"(?:layernorm\.|.*relative_position_index$|.*num_batches_tracked$)"
)


def our_name(key: str, order: tuple[int, ...]) -> tuple[str, int | None] | None:
    """Our name of their key, and which third of it (queries, keys, values) the key holds, else None.

    Args:
        key: of their state dict.
        order: strides of the pixel decoder's maps.

    Example:
        >>> our_name("model.transformer_module.decoder.layers.3.self_attn.k_proj.bias", (32, 16, 8))
        ('decoder.layers.3.own.in_proj_bias', 1)
        >>> our_name("class_predictor.bias", (32, 16, 8))
        ('decoder.to_classes.bias', None)
    """
    for pattern, ours in (*RESNET, *SWIN, *PIXEL_DECODER, *DECODER):
        found = re.match(pattern, key)
        if not found:
            continue
        third = "qkv".index(found[found.re.groups][0]) if "{qkv}" in ours else None
        first = int(found[1]) if found.re.groups and found[1].isdigit() else 0
        numbers = {
            "{next}": first + 1, "{before}": first - 1, "{twice}": 2 * first, "{qkv}": "",
            "{stride}": order[first] if "{stride}" in ours else "",
            "{after}": int(found[3]) + 1 if "{after}" in ours else "",
        }  # fmt: skip
        for mark, number in numbers.items():
            ours = ours.replace(mark, str(number))
        return str(found.expand(ours)) + key[found.end() :], third
    return None


def load_hugging_face(model: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Copy a ``Mask2FormerForUniversalSegmentation``'s state dict into the model of the same variant.

    Returns:
        False where the names are not such; nothing is copied then.

    Raises:
        CheckpointError: keys without a place, places without a key, or other shapes; nothing is copied.
    """
    if not any(key.startswith("model.pixel_level_module.") for key in weights):
        return False
    own = model.state_dict()
    order: tuple[int, ...] = model.pixel_decoder.order  # type: ignore[assignment, union-attr]
    named: dict[str, Tensor] = {}
    thirds: dict[str, dict[int, Tensor]] = {}
    strangers: list[str] = []
    for key, value in weights.items():
        name, third = our_name(key, order) or ("", None)
        if IGNORED.match(key):
            continue
        if name not in own:
            strangers.append(key)
        elif third is None:
            named[name] = value
        else:
            thirds.setdefault(name, {})[third] = value
    for name, parts in thirds.items():
        if len(parts) == 3:
            named[name] = torch.cat([parts[0], parts[1], parts[2]])
    copy_translated(
        model, named, strangers, whose="Hugging Face",
        mend="build the variant that the file was made for (backbone, queries, layers, classes)",
    )  # fmt: skip
    return True
