"""The stages of the chain, one function per command: load, enhance, train, explain, run."""
