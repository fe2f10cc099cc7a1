"""What is on these pictures? Trained stages on files that belong to no dataset."""
