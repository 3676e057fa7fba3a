"""What a detector can do on a dataset, in numbers, and where it fails."""
