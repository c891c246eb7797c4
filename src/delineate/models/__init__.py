"""The families, one file or folder each."""
