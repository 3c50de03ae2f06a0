"""Small programs that drive a measurement.

``pace`` and ``stamp`` stand at both ends of one: they make lines at a pace, and stamp lines that arrive. ``send_each`` and
``first_last`` use kchat's library for what none of its commands does.
"""
