"""What people read: plots, lists and the report."""
