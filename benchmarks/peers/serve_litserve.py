"""The same model behind LitServe, with its batches.

python benchmarks/peers/serve_litserve.py PORT     (pip install litserve, in an environment of its own)
"""

from __future__ import annotations

import sys
from typing import Any

import litserve as ls
import msgspec
import torch
from fastapi import Request, Response

import delineate as dl


class Nuclei(ls.LitAPI):
    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.model = dl.load("nuclei", device="cpu")

    async def decode_request(self, request: Request) -> Any:
        return dl.read(await request.body()).pixels

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, images: list[Any]) -> list[Any]:
        return self.model.predict_together(images)

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output

    def encode_response(self, found: Any) -> Response:
        objects = [
            {"class": n, "score": float(s), "box": b.tolist(), "mask": m}
            for n, s, b, m in zip(found.names, found.scores, found.boxes, found.masks.to_rle(), strict=True)
        ]
        return Response(msgspec.json.encode({"objects": objects}), media_type="application/json")


if __name__ == "__main__":
    api = Nuclei(max_batch_size=4, batch_timeout=0.005, api_path="/api/predict")
    server = ls.LitServer(
        api, accelerator="cpu", workers_per_device=1, healthcheck_path="/health/live", timeout=30
    )
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
