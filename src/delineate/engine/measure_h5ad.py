"""Tables as AnnData, written straight into HDF5 in its documented layout, with what SpatialData looks for.

Layout: anndata's "On-disk format", encoding versions 0.1.0 (anndata, dict, csr_matrix) and 0.2.0 (dataframe,
array, string-array, categorical). Table keys of SpatialData: ``uns["spatialdata_attrs"]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .atomic import write_atomically

NOT_MEASURES = ("label", "id", "nearest_label", "page")
"""Numbers that name something; they stand with the texts and marks in ``obs``."""


def write_h5ad(path: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Writes the objects as observations and their measures as variables.

    ``X`` (N, measures) float64; ``obs`` image, label, class, marks and so on; ``var`` unit and source of each
    measure; ``obsm["spatial"]`` x and y of the centroids, in physical units where all images have one, else
    in pixels; ``obsp["spatial_connectivities"]`` the graph of touching objects, where there is one; the
    further tables in ``uns``.

    Args:
        path: the file.
        tables: by name; ``objects`` among them.
    """
    import io

    import h5py

    objects = tables["objects"]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        measures = [
            name for name in objects.columns if objects[name].dtype.kind in "iuf" and name not in NOT_MEASURES
        ]
        rest = [name for name in objects.columns if name not in measures]
        _array(file, "X", objects[measures].to_numpy(np.float64).reshape(len(objects), len(measures)))
        names = [f"{image}:{label}" for image, label in zip(objects["image"], objects["label"], strict=True)]
        _frame(
            file, "obs", objects[rest], np.array(names, dtype=object), categories=("image", "class", "well")
        )
        units, sources = objects.attrs.get("units", {}), objects.attrs.get("sources", {})
        about = pd.DataFrame({"unit": [units.get(m, "") for m in measures]})
        about["source"] = [sources.get(m, "") for m in measures]
        _frame(file, "var", about, np.array(measures, dtype=object))
        for name in ("layers", "varm", "varp"):
            _group(file, name)
        spatial, unit = _places(objects)
        _array(_group(file, "obsm"), "spatial", spatial)
        graph = _group(file, "obsp")
        if "pairs" in tables:
            _touching(graph, objects, tables["pairs"])
        uns = _group(file, "uns")
        _told(uns, objects, unit)
        for name, table in tables.items():
            if name not in ("objects", "columns"):
                number = np.array([str(i) for i in range(len(table))], dtype=object)
                _frame(uns, name, table, number)
    write_atomically(path, lambda out: out.write(buffer.getvalue()))
    return path


def _group(parent: Any, name: str) -> Any:
    group = parent.create_group(name)
    group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    return group


def _array(parent: Any, name: str, values: NDArray[Any]) -> Any:
    made = parent.create_dataset(name, data=values)
    made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return made


def _texts(parent: Any, name: str, values: Any) -> None:
    import h5py

    plain = np.array(["" if v is None or v != v else str(v) for v in values], dtype=object)
    made = parent.create_dataset(name, data=plain, dtype=h5py.string_dtype())
    made.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def _text(parent: Any, name: str, value: str) -> None:
    import h5py

    made = parent.create_dataset(name, data=value, dtype=h5py.string_dtype())
    made.attrs.update({"encoding-type": "string", "encoding-version": "0.2.0"})


def _frame(
    parent: Any, name: str, table: pd.DataFrame, index: NDArray[Any], categories: tuple[str, ...] = ()
) -> None:
    import h5py

    group = parent.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.attrs.create("column-order", np.array(list(table.columns), dtype=object), dtype=h5py.string_dtype())
    _texts(group, "_index", index)
    for column in table.columns:
        values = table[column]
        if column in categories:
            _categories(group, column, values)
        elif values.dtype.kind in "biuf":
            plain = values.dtype if isinstance(values.dtype, np.dtype) else np.float64  # NaN where unknown
            _array(
                group,
                column,
                values.to_numpy(plain, na_value=np.nan) if values.hasnans else values.to_numpy(plain),
            )
        else:
            _texts(group, column, values)


def _categories(parent: Any, name: str, values: pd.Series) -> None:
    codes, found = pd.factorize(values.astype(str))
    group = parent.create_group(name)
    group.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
    _array(group, "codes", codes.astype(np.int32))
    _texts(group, "categories", found)


def _places(objects: pd.DataFrame) -> tuple[NDArray[np.float64], str]:
    """(N, 2) x and y of the centroids, and their unit; (N, 3) x, y, z of stacks."""
    axes = [axis for axis in (2, 1, 0) if f"centroid-{axis}" in objects]
    for unit in sorted(set(objects.attrs.get("units", {}).values()) - {"px", "rad"}):
        names = [n for n, u in objects.attrs["units"].items() if u == unit and n.startswith("centroid-")]
        columns = [n for axis in axes for n in names if n.startswith(f"centroid-{axis}")]
        if len(columns) == len(axes) > 0 and objects[columns].notna().any(axis=1).all():
            return objects[columns].to_numpy(np.float64), unit
    return objects[[f"centroid-{axis}" for axis in axes]].to_numpy(np.float64).reshape(len(objects), -1), "px"


def _touching(parent: Any, objects: pd.DataFrame, pairs: pd.DataFrame) -> None:
    from scipy.sparse import coo_matrix

    place = pd.Series(np.arange(len(objects)), index=pd.MultiIndex.from_frame(objects[["image", "label"]]))
    a = place.reindex(pd.MultiIndex.from_frame(pairs[["image", "label"]])).to_numpy(np.int64)
    b = place.reindex(pd.MultiIndex.from_frame(pairs[["image", "neighbour"]])).to_numpy(np.int64)
    both = np.concatenate([a, b]), np.concatenate([b, a])
    graph = coo_matrix((np.ones(2 * len(a)), both), shape=(len(objects), len(objects))).tocsr()
    group = parent.create_group("spatial_connectivities")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": graph.shape})
    for name in ("data", "indices", "indptr"):
        group.create_dataset(name, data=getattr(graph, name))


def _told(uns: Any, objects: pd.DataFrame, unit: str) -> None:
    """What ties rows to images and labels, and the unit of the centroids."""
    keys = _group(uns, "spatialdata_attrs")
    regions = list(dict.fromkeys(objects["image"].astype(str)))
    if len(regions) == 1:  # SpatialData takes a name, or what its TableModel.parse turns into a list
        _text(keys, "region", regions[0])
    else:
        _texts(keys, "region", regions)
    _text(keys, "region_key", "image")
    _text(keys, "instance_key", "label")
    _text(uns, "spatial_unit", unit)
