"""``python -m kchat``, and what the command ``kchat`` runs."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings

TYPE_CHECKING = False  # as typing's: that is loaded after run() has begun
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line of this process; Ctrl+C ends it without a traceback while it loads, and while it ends."""
    code: object = 130
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so under nohup
    if heeded:
        # Nothing has begun yet that has to be finished.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    # Loading makes many objects and no garbage; looking for some every now and then takes a twentieth of a send.
    gc.set_threshold(50_000)
    if not sys.warnoptions:
        # What a driver thinks of this Python's age is for its developers; our standard error is for our users.
        warnings.simplefilter("ignore", FutureWarning)
    sys.excepthook = _end_interrupted
    try:
        from kchat.cli import main
        from kchat.cli.shutdown import interrupt, note_unraisable
        from kchat.cli.stderr import guard_standard_error

        sys.unraisablehook = note_unraisable
        if heeded:
            signal.signal(signal.SIGINT, interrupt)
        guard_standard_error()
        main()
    except KeyboardInterrupt:
        pass
    except SystemExit as end:
        code = end.code
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end(code)


def _end_interrupted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The hook for errors that nobody caught: Ctrl+C between two lines that end a command is no fault to show."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(130)
    sys.__excepthook__(kind, error, trace)


def _end(code: object) -> NoReturn:
    """End at once: taking the interpreter apart takes longer than sending a message, and all is closed by now.

    Raises:
        SystemExit: what was written cannot be brought out; Python says so in its own way.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # closed by the parent process
                stream.flush()
    except (OSError, ValueError):
        sys.exit(code)  # type: ignore[arg-type]  # what SystemExit had
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    run()
