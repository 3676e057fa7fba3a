"""Why an object was missed: followed through the detector's own steps."""

from .explaining import check_box, explain, explanation
from .explanation import Explanation, Row
from .objects import Objects
from .seen import look
from .steps import FOUND, MISSES, STEPS
from .verdict import Judge
from .what_if import Variant, usual_variants
from .whole_set import LabelledImages, SetResult, explain_set

__all__ = [
    "FOUND",
    "MISSES",
    "STEPS",
    "Explanation",
    "Judge",
    "LabelledImages",
    "Objects",
    "Row",
    "SetResult",
    "Variant",
    "check_box",
    "explain",
    "explain_set",
    "explanation",
    "look",
    "usual_variants",
]
