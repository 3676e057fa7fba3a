"""Metrics, and ways to run a detector at test time."""
