"""What strangers send on purpose: see :mod:`tests.hostile.corpus`."""
