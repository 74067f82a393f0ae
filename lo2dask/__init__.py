"""lo2dask."""
