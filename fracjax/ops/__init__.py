"""The numbers of Flax's layers, faster on XLA's CPU backend."""
