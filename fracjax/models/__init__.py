"""What do the networks look like? One file per paper; no files read, no training.

Dimension names: b batch, h height, w width, c channels, n tokens, f features, k outputs.
"""
