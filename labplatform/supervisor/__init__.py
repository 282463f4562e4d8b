"""The supervisor: starts, watches, routes, records. One process a platform, beside the kernel and never inside it."""
