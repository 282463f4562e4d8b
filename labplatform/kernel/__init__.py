"""What runs in the Jupyter kernel (or any Python script): the user's handle on a platform, and its widgets."""
