"""`buildguard install` and `uninstall`: the hook goes where git really runs it, and what was there comes back."""

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import tomlkit

from buildguard.errors import Exit, GitFault
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.setup.hookfile import HookChange, Refusal, calls_us, put, restore, write
from buildguard.setup.hookspath import HOOK, hooks_place, refusal, require_git
from buildguard.setup.runners import Runner, found, set_check
from buildguard.text import command
from buildguard.ui.reports import Report

_HELP = "buildguard install --help"


def put_in(session: Session, check: str | None, python: str = sys.executable) -> Report:
    """Install the hook, or say what to write into the file of the hook runner that is in use here (in the
    report's `extra`: `file` and `block`). `check` is what to write into the settings; None leaves them alone.
    `python` is what the hook falls back to where `buildguard` is not on PATH. A refusal has changed nothing."""
    try:
        repository = _repository(session)
        runner = found(repository.top)
        settings = None if check is None else _settings(repository, check)
        changes = [] if runner else [_hook(repository, check, python)]
        if settings is not None:
            changes.append(_written(*settings))
    except (GitFault, OSError) as error:
        return _refused(error)
    lines = tuple(change.line for change in changes)
    if runner is not None:
        return _for_runner(runner, lines)
    outcome = "installed" if any(change.new for change in changes) else "unchanged"
    if check is not None or session.settings.check is not None:
        return Report(outcome, Exit.OK, lines)
    line = "no check is set yet, and without one the hook refuses to commit"
    return Report(outcome, Exit.OK, (*lines, line), set_check(repository.top or session.cwd))


def take_out(session: Session) -> Report:
    """Take the hook out again, and put back what was there before it, byte for byte. A hook that somebody edited
    since is left alone, and so are the settings."""
    try:
        repository = _repository(session)
        place, own = hooks_place(repository), repository.common_dir / "hooks" / HOOK
        hooks = {own} if place.shared else {place.hook, own}
        changes = [change for hook in sorted(hooks) if (change := restore(hook))]
    except (GitFault, OSError) as error:
        return _refused(error)
    lines = tuple(change.line for change in changes)
    left = next((change for change in changes if change.left_alone), None)
    if left is not None:
        return Report("left", Exit.FAILED, lines, left.left_alone)
    if not changes:
        return Report("unchanged", Exit.OK, ("nothing to uninstall: no hook that buildguard installed is here",))
    return Report("uninstalled", Exit.OK, lines)


def _repository(session: Session) -> Repository:
    require_git(session.environment, session.cwd)
    if session.repository is None:
        raise session.fault or GitFault("not a git repository")
    return session.repository


def _settings(repository: Repository, check: str) -> tuple[Path, bytes | None]:
    if repository.top is None:
        raise Refusal("the check cannot be written: this is no work tree", "git worktree list")
    return with_check(repository.top, check)


def _written(path: Path, wanted: bytes | None) -> HookChange:
    if wanted is None:
        return HookChange(f"the check stands in {path} already")
    write(path, wanted, path.stat().st_mode & 0o777 if path.exists() else 0o666)
    return HookChange(f"wrote the check into {path}", new=True)


def with_check(top: Path, check: str) -> tuple[Path, bytes | None]:
    """The settings file for the check (`.buildguard.toml`, or `pyproject.toml` where that has our table), and what
    it has to say; None where it says that already. Raises `Refusal` and OSError."""
    # Resolved: a link stays one, and the file that it leads to is written.
    path, project = ((top / name).resolve() for name in (".buildguard.toml", "pyproject.toml"))
    document = table = _parsed(path)
    if not path.exists() and "buildguard" in (settings := _parsed(project)).get("tool", {}):
        path, document, table = project, settings, settings["tool"]["buildguard"]
    if table.get("check") == check:
        return path, None
    try:
        table["check"] = check
        return path, tomlkit.dumps(document).encode()
    except ValueError as error:
        raise Refusal(f"{path}: the check cannot be written into it ({error})", _edit(path)) from error


def _parsed(path: Path) -> Any:
    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig") if path.exists() else "")
    except ValueError as error:
        raise Refusal(f"{path}: is not TOML in UTF-8 ({error})", _edit(path)) from error


def _edit(path: Path) -> str:
    return f"${{EDITOR:-vi}} {shlex.quote(str(path))}"


def _hook(repository: Repository, check: str | None, python: str) -> HookChange:
    place = hooks_place(repository)
    if place.shared and os.access(place.hook, os.X_OK) and calls_us(place.hook):
        return HookChange(f"the hook that is there calls buildguard already: {place.hook}")
    again = command(["buildguard", "install", *(["--check", check] if check else [])])
    if no := refusal(place, repository, again or _HELP):
        raise no
    # A file that may be committed must not bear the path of this machine's interpreter.
    change = put(place.hook, None if place.in_work_tree else python)
    if not (change.new and place.in_work_tree):
        return change
    return change._replace(line=f"{change.line}; commit it, for the other work trees and clones to have it, too")


def _for_runner(runner: Runner, lines: tuple[str, ...]) -> Report:
    extra = {"runner": runner.name, "file": str(runner.file), "block": runner.block}
    if runner.calls_us:
        line = f"{runner.name} calls buildguard already: it stands in {runner.file}"
        return Report("unchanged", Exit.OK, (*lines, line), extra={**extra, "block": ""})
    line = f"not installed: {runner.name} runs the hooks here; add the block above to {runner.file}, {runner.under}"
    then = f"then make sure that git calls {runner.name}: {runner.setup}"
    append = f"echo 'buildguard hook' >> {shlex.quote(str(runner.file))}"
    do = append if runner.name == "husky" else _edit(runner.file)
    return Report("runner", Exit.FAILED, (*lines, line, then), do, extra=extra)


def _refused(error: GitFault | OSError) -> Report:
    if isinstance(error, OSError):
        mend = command(["ls", "-ld", str(error.filename)]) if error.filename else "df -h ."
    else:
        mend = error.next_command
    what = "refused" if isinstance(error, Refusal) else "error"
    return Report("refused", Exit.FAILED, (f"{what}: {error}",), mend or _HELP)
