"""How do the studies reach the accelerator? Decoded once, batched in an order drawn from a seed."""
