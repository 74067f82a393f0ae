"""Tables on disk: where they lie, how a part appears, what its record says."""
