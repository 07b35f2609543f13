"""Calls. Knows the line only through `fxs.port`, the frame protocol and fxs's pure modules."""
