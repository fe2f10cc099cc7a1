"""From a prepared dataset to batches on the devices: resident there, or read ahead."""
