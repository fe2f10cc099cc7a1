"""What happens to a batch on the device? Pure functions of a key and an image."""
