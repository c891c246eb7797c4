"""One short function per command."""
