"""How is a network trained? One jitted, data-parallel step, and the loop around it."""
