"""Choosing a point of a path from a base to a finished model, by scores on items that no test will ask."""
