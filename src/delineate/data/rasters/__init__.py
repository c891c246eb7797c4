"""Images of any size, read by windows: TIFF pyramids, slides, OME-Zarr; whatever else is read whole.

:func:`open_raster` gives a :class:`Raster`, whose :meth:`~Raster.window` reads a part at any stored
resolution. The numbers are those that :func:`delineate.data.images.read` gives for the whole file.
"""

from .opening import open_raster as open_raster
from .raster import Raster as Raster
