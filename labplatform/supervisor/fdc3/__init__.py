"""FDC3 2.2's desktop agent: what apps say to each other. Supervisor.

Knows apps, instances, channels and intents, and nothing of processes: what it needs of the platform it asks of a
`Desk`. Everything runs on the supervisor's loop and returns at once; what takes time (an app that starts, a listener
that is still to come, a person who chooses) is waited for with a deadline.
"""
