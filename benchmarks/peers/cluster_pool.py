"""`multiprocessing.Pool` around the calls that `--cluster` makes: IMAGES OUT PROCESSES."""

import multiprocessing
import sys
from pathlib import Path


def begin():
    global model
    import torch

    import delineate

    torch.set_num_threads(1)
    model = delineate.load("nuclei")


def one(path):
    from delineate.data.images import read
    from delineate.measurements import measured_table

    image = read(path)
    found = model.predict(image.pixels, confidence=0.5)
    counts = [run["counts"] for run in found.masks.to_rle()]
    return path, measured_table(found, image.pixels, image.pixel_size), counts


if __name__ == "__main__":
    import pandas as pd

    multiprocessing.set_start_method("spawn")
    files = sorted(map(str, Path(sys.argv[1]).iterdir()))
    with multiprocessing.Pool(int(sys.argv[3]), begin) as pool:
        rows = list(pool.imap(one, files, chunksize=4))
    out = Path(sys.argv[2])
    out.mkdir()
    frame = pd.concat([table.assign(image=path, counts=counts) for path, table, counts in rows])
    frame.attrs = {}
    frame.to_parquet(out / "measurements.parquet")
