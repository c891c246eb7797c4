"""Query transformers: each of a fixed set of queries becomes one object."""
