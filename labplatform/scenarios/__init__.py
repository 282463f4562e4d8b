"""Small experiments with the sample apps: each drives a platform from outside, runs in any placement, and returns its
evidence. Runs in the kernel, or wherever a `Platform` is held; the lessons call them, and so may any cell.
"""

from . import leaking, tickers
from .busy import PastBusy, past_a_busy_page
from .feeling import Felt, felt
from .recording import Heard
from .spinning import cpu_used, spinning
from .streaming import stream
from .waiting import overheard, until_back, until_up

__all__ = [
    "Felt",
    "Heard",
    "PastBusy",
    "cpu_used",
    "felt",
    "leaking",
    "overheard",
    "past_a_busy_page",
    "spinning",
    "stream",
    "tickers",
    "until_back",
    "until_up",
]
