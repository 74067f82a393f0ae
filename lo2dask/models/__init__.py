"""Detectors: what they are, how they are fitted, scored, measured and kept; pure functions without Dask."""
