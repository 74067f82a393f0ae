"""Byte buffers and columns of text: padded bytes, slices and views, dictionary encoding, text made safe to show."""
