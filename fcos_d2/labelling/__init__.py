"""Labels made by a detector, for people to correct, and which images to label first."""
