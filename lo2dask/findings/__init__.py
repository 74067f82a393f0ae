"""What stands out: the detector's windows, lines and findings; comparison with the nearest normal run."""
