"""The figures: what starting, launching, stopping, memory, idling, noticing and talking cost, beside what they cost
without.

Runs in a process of its own (`labplatform bench`), as a user would: through `Platform`. One file per table.
"""
