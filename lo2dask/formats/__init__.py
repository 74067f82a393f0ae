"""What a log line looks like: line formats find and split headers and read times."""
