"""Chaos: random faults at random times onto random apps, each waited for until it is noticed and mended. Kernel.

`plan` says what will happen, from a seed and nothing else; `injection` is one fault from its beginning to the app's
return; `run` carries a plan out, on a platform that it drives from outside; `report` is the table that comes of it.
`Platform.chaos` is the way in.
"""

from .plan import DEFAULT, FAULTS, Planned, plan
from .report import ChaosReport, Row
from .run import run

__all__ = ["DEFAULT", "FAULTS", "ChaosReport", "Planned", "Row", "plan", "run"]
