"""The panel: a platform as a person sees and steers it in a notebook. Kernel; each part is a widget of `widgets/`.

Parts are made when they are asked for, and their modules imported only then.
"""

from __future__ import annotations


class Panel:
    """The part of a `Platform` that shows it."""
