"""The app host: one process an app, with its pywebview window, its page and its Python side."""
