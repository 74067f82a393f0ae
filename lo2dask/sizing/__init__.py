"""One forecast of time, memory and disk: for lo2dask plan, --dry-run and the stages."""
