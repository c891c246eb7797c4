"""The prediction server: ``delineate serve``.

Models answer over HTTP: from one upload to its objects, at once or as a job that outlives the server.
Needs the extra ``serve``; the client (:mod:`delineate.client`) needs httpx alone.
"""
