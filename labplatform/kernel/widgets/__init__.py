"""What a notebook shows of a platform. Kernel; each widget's page side lies in `static/`.

A widget observes `Platform` and `App` and calls their public methods; it holds no truth of its own.
"""
