"""The same model behind LitServe, one worker: images come as base64 in JSON, which LitServe reads by itself.

python benchmarks/peers/serve_lit.py PORT        (pip install litserve)
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import torch

import delineate as dl


class Nuclei(litserve.LitAPI):
    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.model = dl.load("nuclei")

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def predict(self, data: bytes) -> Any:
        return self.model.predict(data)

    def encode_response(self, found: Any) -> dict[str, Any]:
        masks = found.masks.to_rle() if found.masks is not None else []
        return {
            "objects": [
                {"class": n, "score": float(s), "box": b.tolist(), "mask": m}
                for n, s, b, m in zip(found.names, found.scores, found.boxes, masks, strict=True)
            ]
        }


if __name__ == "__main__":
    server = litserve.LitServer(
        Nuclei(api_path="/api/predict"), accelerator="cpu", healthcheck_path="/health/live", timeout=30
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
