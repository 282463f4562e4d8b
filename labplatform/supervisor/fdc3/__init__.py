"""FDC3 in the supervisor: channels and who listens on them. Knows instances by id, and nothing of processes."""
