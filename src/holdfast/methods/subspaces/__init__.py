"""Subspaces of what layers read, and keeping training off them."""
