"""An LO2-shaped tree made from nothing but a seed: seven services, 54 test cases, every published layout."""

from lo2dask.synthesis.tree import SynthSummary, write_tree

__all__ = ["SynthSummary", "write_tree"]
