"""Where do pretrained weights come from? Keras files, readable name tables, two-sided checks."""
