"""Token counts, their spill to disk, and the vocabularies that limits leave of them, all out of core."""
