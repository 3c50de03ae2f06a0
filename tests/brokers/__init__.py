"""Real brokers and processes for the tests: found or started, one module each.

Nothing here knows kchat, but for :mod:`tests.brokers.processes`, which starts its commands.
"""
