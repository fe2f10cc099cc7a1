"""Where did the network look? Class activation maps, and their score against boxes and outlines."""
