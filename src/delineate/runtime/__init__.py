"""Models outside of PyTorch: export, and sessions that run what was exported."""
