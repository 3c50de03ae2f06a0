"""``python -m kchat``, and what the command ``kchat`` runs."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process; Ctrl+C ends it without a traceback while it loads, and while it ends."""
    try:
        from kchat.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    run()
