"""The Python API: commands as functions, their results as tables, in the user's own cluster where there is one."""
