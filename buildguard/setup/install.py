"""`buildguard install` and `uninstall`: the hook goes where git really runs it, and what was there comes back."""

import os
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit

from buildguard.errors import Exit, GitFault, Unavailable
from buildguard.git.repository import Repository
from buildguard.session import Session
from buildguard.setup.hookfile import HookChange, Refusal, calls_us, draft, is_ours, put, restore
from buildguard.setup.hookspath import HOOK, UNSET, hooks_place, refusal, require_git, uncommitted
from buildguard.setup.runners import Runner, found, set_check
from buildguard.store import probed, to_look_at
from buildguard.text import command
from buildguard.ui.reports import Report

_HELP = "buildguard install --help"


def put_in(session: Session, check: str | None, python: str = sys.executable, engine: str | None = None) -> Report:
    """Install the hook, or say what to write into the file of the hook runner that is in use here (in the
    report's `extra`: `file` and `block`). `check` and `engine` are what to write into the settings; None leaves
    them alone. `python` is what the hook falls back to where `buildguard` is not on PATH. A refusal has changed
    nothing."""
    try:
        repository = _repository(session)
        runner = found(repository.top)
        if engine is not None and (why := probed(session.required().store)):
            raise Refusal(why, to_look_at(engine))
        wanted = {"check": check, "engine": engine}
        with _settings(repository, {name: value for name, value in wanted.items() if value}) as written:
            changes = [] if runner else _hook(repository, check, python)
    except (Refusal, GitFault, OSError, Unavailable) as error:
        return _refused(error)
    changes += written
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
        if place.shared and is_ours(place.hook):
            end = UNSET.get(place.scope) or command(["ls", "-la", str(place.folder)])
            raise Refusal(f"{place.folder} serves other repositories, too", end)
        hooks = {own} if place.shared else {place.hook, own}
        changes = [change for hook in sorted(hooks) if (change := restore(hook))]
    except (Refusal, GitFault, OSError) as error:
        return _refused(error)
    lines = tuple(change.line for change in changes)
    left = next((change for change in changes if change.left_alone), None)
    if left is not None:
        return Report("left", Exit.FAILED, lines, left.left_alone)
    if not changes:
        return Report("unchanged", Exit.OK, ("nothing to uninstall: no hook that buildguard installed is here",))
    places = ((repository.top or repository.common_dir) / ".buildguard.toml", repository.common_dir / "buildguard")
    kept = " and ".join(str(path) for path in places if path.exists())
    return Report("uninstalled", Exit.OK, (*lines, *([f"kept: settings and history, in {kept}"] if kept else [])))


def _repository(session: Session) -> Repository:
    require_git(session.environment, session.cwd)
    if session.repository is None:
        raise session.fault or GitFault("not a git repository")
    return session.repository


@contextmanager
def _settings(repository: Repository, values: Mapping[str, str]) -> Iterator[list[HookChange]]:
    """Write these into the settings, if there are any, once all else has gone well."""
    if not values:
        yield []
        return
    if repository.top is None:
        raise Refusal("the settings cannot be written: this is no work tree", "git worktree list")
    path, wanted = with_settings(repository.top, values)
    what = " and ".join(f"the {name}" for name in values)
    if wanted is None:
        yield [HookChange(f"{what} stand{'s' * (len(values) == 1)} in {path} already")]
        return
    with draft(path, wanted, 0o666) as new:
        if path.exists():
            shutil.copymode(path, new)
        yield [HookChange(f"wrote {what} into {path}", new=True)]
        new.replace(path)


def with_settings(top: Path, values: Mapping[str, str]) -> tuple[Path, bytes | None]:
    """The settings file for these values (`.buildguard.toml`, or `pyproject.toml` where that has our table), and
    what it has to say; None where it says that already. Raises `Refusal` and OSError."""
    # Resolved: a link stays one, and the file that it leads to is written.
    path, project = ((top / name).resolve() for name in (".buildguard.toml", "pyproject.toml"))
    document = table = _parsed(path)
    if not path.exists() and "buildguard" in (settings := _parsed(project)).get("tool", {}):
        path, document, table = project, settings, settings["tool"]["buildguard"]
    if all(table.get(name) == value for name, value in values.items()):
        return path, None
    before = tomlkit.dumps(document)
    try:
        for name, value in values.items():
            table[name] = value
        wanted = tomlkit.dumps(document)
        if tomllib.loads(wanted) != document.unwrap():
            raise ValueError("it would not say that afterwards")
        if "\r\n" in before and "\n" not in before.replace("\r\n", ""):
            wanted = wanted.replace("\r\n", "\n").replace("\n", "\r\n")
        return path, wanted.encode()
    except ValueError as error:
        raise Refusal(f"{path}: it cannot be written there ({error})", _edit(path)) from error


def _parsed(path: Path) -> Any:
    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8-sig") if path.exists() else "")
    except ValueError as error:
        raise Refusal(f"{path}: is not TOML in UTF-8 ({error})", _edit(path)) from error


def _edit(path: Path) -> str:
    return f"${{EDITOR:-vi}} {shlex.quote(str(path))}"


def _hook(repository: Repository, check: str | None, python: str) -> list[HookChange]:
    place = hooks_place(repository)
    if place.shared and os.access(place.hook, os.X_OK) and calls_us(place.hook):
        return [HookChange(f"the hook that is there calls buildguard already: {place.hook}")]
    again = command(["buildguard", "install", *(["--check", check] if check else [])])
    if no := refusal(place, repository, again or _HELP):
        raise no
    # A file that may be committed must not bear the path of this machine's interpreter.
    change = put(place.hook, None if place.in_work_tree else python)
    paths = " and ".join(map(str, uncommitted(place, repository)))
    until = "until then git runs no hook in the other work trees and clones"
    return [change, HookChange(f"commit {paths}: {until}")] if paths else [change]


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


def _refused(error: Refusal | GitFault | OSError | Unavailable) -> Report:
    if isinstance(error, Refusal):
        return Report("refused", Exit.FAILED, (f"refused: {error}",), error.next_command)
    mend = error.next_command if isinstance(error, GitFault | Unavailable) else None
    if isinstance(error, OSError):
        mend = command(["ls", "-ld", str(error.filename)]) if error.filename else "df -h ."
    return Report("refused", Exit.FAILED, (f"error: {error}",), mend or _HELP)
