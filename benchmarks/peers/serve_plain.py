"""The same model behind FastAPI as most people write it: decoded and looked at in the thread pool.

python benchmarks/peers/serve_plain.py PORT
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import uvicorn
from fastapi import Body, FastAPI, Response

import delineate as dl

torch.set_num_threads(1)
app = FastAPI()
model = dl.load("nuclei")


@app.get("/health/live")
async def live() -> dict[str, bool]:
    return {"ok": True}


@app.post("/api/predict")
def predict(data: bytes = Body(media_type="application/octet-stream")) -> Any:
    import msgspec

    found = model.predict(data)
    masks = found.masks.to_rle() if found.masks is not None else []
    objects = [
        {"class": n, "score": float(s), "box": b.tolist(), "mask": m}
        for n, s, b, m in zip(found.names, found.scores, found.boxes, masks, strict=True)
    ]
    return Response(msgspec.json.encode({"objects": objects}), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
