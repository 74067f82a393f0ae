"""Raw bytes of logs to event rows; pure functions over one chunk, tested without Dask."""
