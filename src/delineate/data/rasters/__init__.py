"""Images of any size, read and written by windows: TIFF pyramids, slides, OME-Zarr; others are read whole.

:func:`open_raster` gives a :class:`Raster`, whose :meth:`~Raster.window` reads a part at any stored
resolution. The numbers are those that :func:`delineate.data.images.read` gives for the whole file.
:class:`OmeTiffWriter` and :class:`OmeZarrWriter` take windows in any order and write images or labels.
"""

from .opening import open_raster as open_raster
from .raster import Raster as Raster
from .write_ome_tiff import OmeTiffWriter as OmeTiffWriter
from .write_ome_zarr import OmeZarrWriter as OmeZarrWriter
from .writer import RasterWriter as RasterWriter
