"""A bug of ours becomes a file that is ready to be reported, not a traceback on somebody's screen."""

import os
import platform
import sys
from pathlib import Path


def write(error: BaseException) -> Path:
    """Write the report and return where it is. The path of the null device if there is no room for it."""
    import tempfile
    import traceback
    from importlib import metadata

    try:
        version = metadata.version("git-buildguard")
    except metadata.PackageNotFoundError:
        version = "from a source tree"
    lines = (
        "# buildguard: bug report",
        f"- version: {version}",
        f"- python: {sys.version}",
        f"- platform: {platform.platform()}",
        f"- command: {sys.argv}",
        "```",
        "".join(traceback.format_exception(error)),
        "```",
    )
    try:
        descriptor, name = tempfile.mkstemp(prefix="buildguard-bug-", suffix=".md")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as report:
            report.write("\n".join(lines))
    except OSError:
        return Path(os.devnull)
    return Path(name)
