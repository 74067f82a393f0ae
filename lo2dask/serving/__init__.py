"""Questions about a finished folder, answered within bounds, and the MCP server that takes them."""
