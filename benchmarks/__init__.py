"""Ratios of time, measured side by side in one process after the results were found equal."""
