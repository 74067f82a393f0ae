"""Runs maps of work on Dask, or serially; nothing below this floor knows that Dask exists."""
