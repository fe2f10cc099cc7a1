"""What happens to a batch on the device? Pure functions of a key, a picture and a strength."""
