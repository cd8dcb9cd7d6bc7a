"""Starts buildguard. The plain hook needs no parser of command lines: that would be a third of what it costs."""

import sys
from typing import NoReturn

from buildguard import start


def main() -> NoReturn:
    """Run the command line and exit."""
    given = sys.argv[1:]
    if given == ["hook"] or given[:2] == ["hook", "--"]:
        sys.exit(start.ended(lambda: start.commit_hook({}, given[2:]), given))
    from buildguard import cli

    cli.main(given)
