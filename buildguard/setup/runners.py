"""The hook runners that a repository may be set up for, and what to write into their files to be called."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_PRE_COMMIT = """\
  - repo: local
    hooks:
      - id: buildguard
        name: buildguard
        entry: buildguard hook
        language: system
        always_run: true
        pass_filenames: false
        require_serial: true
        verbose: true
        stages: [pre-commit, pre-merge-commit, pre-push, manual]
"""
_PREK = """\
[[repos]]
repo = "local"

[[repos.hooks]]
id = "buildguard"
name = "buildguard"
entry = "buildguard hook"
language = "system"
always_run = true
pass_filenames = false
require_serial = true
verbose = true
stages = ["pre-commit", "pre-merge-commit", "pre-push", "manual"]
"""
_LEFTHOOK = """\
pre-commit:
  follow: true
  jobs:
    - name: buildguard
      run: buildguard hook
"""
_LEFTHOOK_TOML = """\
[pre-commit]
follow = true

[[pre-commit.jobs]]
name = "buildguard"
run = "buildguard hook"
"""
_LEFTHOOK_JSON = """\
"pre-commit": {
  "follow": true,
  "jobs": [{ "name": "buildguard", "run": "buildguard hook" }]
}
"""
_HUSKY = "buildguard hook\n"

_LEFTHOOK_FILES = [
    f"{folder}{dot}lefthook.{suffix}"
    for folder, dot in (("", ""), ("", "."), (".config/", ""))
    for suffix in ("yml", "yaml", "toml", "json", "jsonc")
]
_HUSKY_WORD = re.compile(r"\bhusky\b")


@dataclass(frozen=True, slots=True)
class Runner:
    """A hook runner that the repository is set up for. `file` is where its hooks stand, `block` what to add to it,
    `under` where in it; `setup` makes git call the runner; `hides` which edits it takes away while hooks run."""

    name: str
    file: Path
    block: str
    under: str
    setup: str
    hides: str = ""

    @property
    def calls_us(self) -> bool:
        """Whether its file names buildguard."""
        return "buildguard" in _text(self.file)


def found(top: Path) -> list[Runner]:
    """The runners that the work tree is set up for; of several that call buildguard, those first."""
    runners = [*_pre_commit(top), *_lefthook(top), *_husky(top)]
    return sorted(runners, key=lambda runner: not runner.calls_us)


def _pre_commit(top: Path) -> list[Runner]:
    unstaged = "all unstaged edits of tracked files"
    for name, tool, block, under in (
        ("prek.toml", "prek", _PREK, "at its end"),
        (".pre-commit-config.yaml", "pre-commit", _PRE_COMMIT, "under `repos:`"),
    ):
        if (top / name).is_file():
            return [Runner(tool, top / name, block, under, f"{tool} install", unstaged)]
    return []


def _lefthook(top: Path) -> list[Runner]:
    files = [top / name for name in _LEFTHOOK_FILES if (top / name).is_file()]
    if not files:
        return []
    block = {".toml": _LEFTHOOK_TOML, ".json": _LEFTHOOK_JSON, ".jsonc": _LEFTHOOK_JSON}
    hides = "the unstaged hunks of partly staged files"
    under = "at the top level; where `pre-commit` stands already, only the job"
    return [Runner("lefthook", files[0], block.get(files[0].suffix, _LEFTHOOK), under, "lefthook install", hides)]


def _husky(top: Path) -> list[Runner]:
    if not ((top / ".husky").is_dir() or _prepares_husky(top / "package.json")):
        return []
    # Without its program in this work tree `npx` would fetch some other version.
    there = (top / "node_modules" / ".bin" / "husky").exists()
    setup = "npx husky" if there else "npm install"
    return [Runner("husky", top / ".husky" / "pre-commit", _HUSKY, "as its last line", setup)]


def _prepares_husky(package: Path) -> bool:
    try:
        told = json.loads(_text(package) or "{}")
        return _HUSKY_WORD.search(str(told["scripts"]["prepare"])) is not None
    except (ValueError, KeyError, TypeError):
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
