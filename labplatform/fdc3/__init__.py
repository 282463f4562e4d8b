"""FDC3 2.2's desktop agent for Python: what a notebook and the Python side of an app talk to others with.

Shared by the kernel and the app host. `agent` is the API, with `channels` and what it returns in `types`; `calls` lets
each call be made blocking or awaited; `client` matches answers and events over any transport; `handlers` runs what the
user gave. The supervisor's side is `supervisor.fdc3`; how messages look on the wire is `dacp`.
"""
