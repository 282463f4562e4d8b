"""An interactive lab for multi-process app platforms: each app its own OS process, seen and steered from a notebook."""

__version__ = "0.1.0"
