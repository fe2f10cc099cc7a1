"""ImageNet weights: Keras files, name tables, two-sided checks."""
