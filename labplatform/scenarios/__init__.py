"""Small experiments with the sample apps: each drives a platform from outside, runs in any placement, and returns its
evidence. Runs in the kernel, or wherever a `Platform` is held; the lessons call them, and so may any cell.
"""

from . import leaking, ordering, tickers
from .beats import heartbeats
from .busy import PastBusy, past_a_busy_page
from .feeling import Felt, felt
from .recording import Heard
from .silence import Silence, compute, silences
from .spinning import cpu_used, spinning
from .streaming import stream
from .waiting import overheard, until_back, until_up

__all__ = [
    "Felt",
    "Heard",
    "PastBusy",
    "Silence",
    "compute",
    "cpu_used",
    "felt",
    "heartbeats",
    "leaking",
    "ordering",
    "overheard",
    "past_a_busy_page",
    "silences",
    "spinning",
    "stream",
    "tickers",
    "until_back",
    "until_up",
]
