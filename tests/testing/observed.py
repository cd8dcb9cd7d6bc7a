"""What a Python program that a test starts does: where its modules come from, and what SQL it runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OUT = "BUILDGUARD_TEST_OBSERVED"
"""Names the file that a program under observation adds its lines to."""
_SITE = f"""
import atexit, json, os, sqlite3, sys

def note(**what):
    with open(os.environ["{_OUT}"], "a") as out:
        out.write(json.dumps({{"pid": os.getpid(), **what}}) + "\\n")

def ends():
    modules = {{name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}}
    note(program=sys.argv, modules=modules)

def connect(*arguments, **options):
    connection = connected(*arguments, **options)
    connection.set_trace_callback(lambda statement: note(sql=statement))
    return connection

connected = sqlite3.connect
sqlite3.connect = sqlite3.dbapi2.connect = connect
atexit.register(ends)
"""


class Observed:
    """Observes each Python program that is started with `variables` and runs its `site`."""

    def __init__(self, folder: Path) -> None:
        (folder / "site").mkdir(parents=True)
        (folder / "site" / "sitecustomize.py").write_text(_SITE)
        self._out = folder / "out"
        self._out.touch()
        self.variables = {"PYTHONPATH": str(folder / "site"), _OUT: str(self._out)}

    def modules(self, program: str) -> dict[str, str | None]:
        """The modules that the one program of that name had imported when it ended, each with its file."""
        (modules,) = [
            line["modules"] for line in self._lines() if Path(line.get("program", [""])[0]).name == program
        ]
        return dict(modules)

    def sql(self) -> Sequence[str]:
        """All statements, in their order."""
        return [line["sql"].strip() for line in self._lines() if "sql" in line]

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_text().splitlines()]
