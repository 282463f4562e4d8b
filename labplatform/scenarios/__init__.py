"""Small experiments with the sample apps: each drives a platform from outside, runs in any placement, and returns its
evidence. Runs in the kernel, or wherever a `Platform` is held; the lessons call them, and so may any cell.

`tickers` does with the apps' windows what a person would; `stream` sends many messages and says who heard which; `busy`
holds one page up and says whether another one still hears.
"""
