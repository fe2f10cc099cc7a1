"""Drawn radiographs with a known fracture, for tests and demonstrations."""
