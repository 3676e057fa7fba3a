"""What to train and how, decided by the data, the machine and the time there is."""

from .decisions import Decision, Plan
from .facts import Facts, facts_of
from .machine import Machine, this_machine
from .making import make_plan
from .planning import plan_request, write_plan

__all__ = [
    "Decision",
    "Facts",
    "Machine",
    "Plan",
    "facts_of",
    "make_plan",
    "plan_request",
    "this_machine",
    "write_plan",
]
