"""Instances to and from other tools, a small file a vendor."""
