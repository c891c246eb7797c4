"""Layers and losses that the families share."""
