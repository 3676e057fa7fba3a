"""Why an object was missed: followed through the detector's own steps."""

from .explaining import check_box, class_number, explain, explanation
from .explanation import Explanation, Row
from .objects import Objects
from .seen import look
from .steps import FOUND, MISSES, STEPS
from .verdict import Judge

__all__ = [
    "FOUND",
    "MISSES",
    "STEPS",
    "Explanation",
    "Judge",
    "Objects",
    "Row",
    "check_box",
    "class_number",
    "explain",
    "explanation",
    "look",
]
