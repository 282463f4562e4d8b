"""Small experiments with the sample apps: each drives a platform from outside, runs in any placement, and returns its
evidence. Runs in the kernel, or wherever a `Platform` is held; the lessons call them, and so may any cell.
"""

from . import tickers
from .busy import PastBusy, past_a_busy_page
from .recording import Heard
from .streaming import stream
from .waiting import overheard, until_up

__all__ = ["Heard", "PastBusy", "overheard", "past_a_busy_page", "stream", "tickers", "until_up"]
