"""Data on disk: formats, checks, one's own data, the drawn Shapes."""
