"""The command line: options, configuration, progress and summaries."""
