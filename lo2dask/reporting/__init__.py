"""report.html and report.md."""
