"""What lies in a raw tree: runs, test cases, service logs; opened here are tar headers only."""
