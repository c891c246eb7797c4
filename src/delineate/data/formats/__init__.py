"""One file a format, each with read() and write()."""
