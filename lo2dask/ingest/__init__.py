"""The tasks of load and enhance: raw logs become event, sequence and enhanced tables."""
