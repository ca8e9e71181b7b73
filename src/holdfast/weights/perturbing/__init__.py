"""Weights that are moved for a while, and are bit for bit what they were afterwards."""
