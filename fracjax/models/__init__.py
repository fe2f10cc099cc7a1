"""What do the networks look like? One file per paper; no files read, no training."""
