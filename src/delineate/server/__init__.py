"""The studio: a local web page for drawing, correcting and reviewing masks, and the REST API behind it.

Needs the extra ``serve``. Start it with ``delineate studio DATASET``.
"""
