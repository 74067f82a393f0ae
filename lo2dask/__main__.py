"""Runs the console program as ``python -m lo2dask``."""

from lo2dask.cli.main import main

if __name__ == "__main__":
    main()
