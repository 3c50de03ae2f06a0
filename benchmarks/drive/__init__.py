"""Small programs that stand at both ends of a measurement: they make lines at a pace, and stamp lines that arrive."""
