"""Text to features: masks, tokens, templates, one row per sequence, vocabulary, matrix."""
