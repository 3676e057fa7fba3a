"""Measures fcos_d2, beside other implementations where asked: `python -m benchmarks --help`."""
