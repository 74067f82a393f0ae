"""Whether an output folder adds up."""
