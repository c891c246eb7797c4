"""The same model behind FastAPI as most people write it: no queue, no refusals, decoded in the same process.

python benchmarks/peers/serve_plain.py PORT [async]

The model is called in FastAPI's thread pool, or with `async` in the event loop, as in `async def`.
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


def answer(data: bytes) -> Response:
    import msgspec

    found = model.predict(data)
    masks = found.masks.to_rle() if found.masks is not None else []
    objects = [
        {"class": n, "score": float(s), "box": b.tolist(), "mask": m}
        for n, s, b, m in zip(found.names, found.scores, found.boxes, masks, strict=True)
    ]
    return Response(msgspec.json.encode({"objects": objects}), media_type="application/json")


if "async" in sys.argv:

    @app.post("/api/predict")
    async def predict(data: bytes = Body(media_type="application/octet-stream")) -> Any:
        return answer(data)

else:

    @app.post("/api/predict")
    def predict_in_a_thread(data: bytes = Body(media_type="application/octet-stream")) -> Any:
        return answer(data)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
