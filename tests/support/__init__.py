"""What tests that start real processes share: proof that none is left, apps to break, a rude client, a web server."""
