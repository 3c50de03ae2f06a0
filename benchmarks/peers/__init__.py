"""What people would use in kchat's place: small scripts, each as a good engineer would write it for the purpose.

Each runs by itself: ``python benchmarks/peers/<name>.py <url> ...``. None of them imports anything of kchat.
"""
