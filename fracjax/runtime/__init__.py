"""What a program stands on: processes, devices, caches, files written whole."""
