"""The table of `runtimes.py`."""

from __future__ import annotations

from statistics import median, quantiles
from typing import Any

HEAD = (
    "| | runtime | threads | network, ms | against eager | whole, ms | against eager | without a twin "
    "| AP | MB |"
)
FILES = {
    "onnxruntime": "fp32.onnx",
    "openvino": "fp32.onnx",
    "onnxruntime int8": "int8.onnx",
    "openvino int8": "int8.xml",
}


def table(done: dict[str, Any]) -> str:
    """Markdown: a row for each model, runtime and number of threads."""
    lines = [HEAD, "|---" * HEAD.count("| ") + "|"]
    for name, model in done.items():
        shown = name
        for threads, rounds in model["turns"].items():
            for variant in rounds[0] if rounds else ():
                lines.append(f"| {shown} | {variant} | {threads} | {_row(model, rounds, variant)} |")
                shown = ""
    return "\n".join(lines)


def _row(model: dict[str, Any], rounds: list[dict[str, Any]], variant: str) -> str:
    steps = model["steps"]
    check = steps.get(f"check {variant}", {})
    size = steps.get(f"export {FILES.get(variant, '')}", {}).get("bytes")
    twins = f"{check['lost']:.1%} of {check['objects']}" if "lost" in check else ""
    return " | ".join(
        [
            *_times(rounds, variant, "network"),
            *_times(rounds, variant, "total"),
            twins,
            f"{check['AP']:.3f}" if "AP" in check else check.get("failure", ""),
            f"{size / 1e6:.1f}" if size else "",
        ]
    )


def _times(rounds: list[dict[str, Any]], variant: str, kind: str) -> list[str]:
    """The median, and the median of the ratios with the middle half of them."""
    both = [(r["eager"], r[variant]) for r in rounds if variant in r]
    if not both or kind not in both[0][1]:
        return ["", ""]
    middle = f"{median(other[kind] for _, other in both):.0f}"
    ratios = [eager[kind] / other[kind] for eager, other in both]
    if variant == "eager" or len(ratios) < 2:
        return [middle, "1" if variant == "eager" else f"{ratios[0]:.2f}"]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return [middle, f"{median(ratios):.2f} ({low:.2f}-{high:.2f})"]
