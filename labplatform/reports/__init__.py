"""Crash reports as people read them: in words, as a page, as text; and where they are kept. Any process.

Pure but for `archive`, which reads and writes the store's table of them. What goes into a report is the supervisor's.
"""
