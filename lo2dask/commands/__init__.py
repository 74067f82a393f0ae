"""One file a command; its function is the Python API."""
