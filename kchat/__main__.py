"""``python -m kchat``."""

from kchat.cli import main

if __name__ == "__main__":
    main()
