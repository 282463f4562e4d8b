"""What tests that start real processes share: proofs that none is left, apps to break, a bare WebSocket, a web server."""
