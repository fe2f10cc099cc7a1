"""Bytes to an upright 8-bit image: one definition for preparation and prediction."""
