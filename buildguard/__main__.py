"""Where buildguard begins, also as `python -m buildguard`."""

import os
import signal
import sys


def start() -> None:
    """Load buildguard and run the command line. A Ctrl-C meanwhile ends us as it ends any program: there is nothing
    to be said or put right yet, and Python would print where it was. What `PYTHONPATH` names comes last: it is for
    the project's programs, which may have a `select.py`."""
    if "PYTHONPATH" in os.environ:
        theirs = [os.path.realpath(path) for path in os.environ["PYTHONPATH"].split(os.pathsep)]
        sys.path.sort(key=lambda path: os.path.realpath(path) in theirs)
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from buildguard.main import begin

    begin(heeded)


if __name__ == "__main__":
    start()
