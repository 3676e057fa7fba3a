"""Prints the table of models: python -m fcos_d2.model_zoo"""

from . import table

print(table())
