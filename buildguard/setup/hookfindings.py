"""Whether git really runs buildguard's hook in this work tree, and what a hook runner does to others' edits."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from buildguard.git.repository import Repository
from buildguard.setup import hookfile
from buildguard.setup import hookspath as hooksplace
from buildguard.setup import runners as hookrunners
from buildguard.setup.findings import Finding, Weight
from buildguard.setup.hookspath import HooksPlace, Version
from buildguard.setup.runners import Runner
from buildguard.ui import phrases as words

_HOOK = "pre-commit"


def findings(repository: Repository, git_version: Version) -> Iterator[Finding]:
    """What keeps the hook from running here, and notes. Raises `GitFault`."""
    newer = git_version >= hooksplace.WITH_CONFIG_HOOKS
    configured = _configured(repository)
    if not (newer and configured):
        runner = _runner(repository)
        place = hooksplace.hooks_place(repository)
        not_run = _not_run(place, runner, newer)
        if not_run is not None:
            too_old = "; hook.buildguard is set, but this git is older than 2.54" if configured else ""
            yield replace(not_run, what=not_run.what + too_old)
        elif runner is not None and runner.hides and not _is_native(place):
            what = f"{runner.name} hides {runner.hides} while hooks run, others' too: the hook cannot wait then"
            yield Finding("stash", what, "buildguard commit", Weight.NOTE)
    yield from _strays(repository)


def gives_check(repository: Repository) -> str | None:
    """What may give the hook a check of its own: another's file that calls buildguard."""
    runner = _runner(repository)
    if runner is not None and runner.calls_us:
        return str(runner.file)
    hook = hooksplace.hooks_place(repository).hook(_HOOK)
    if hook is not None and not hookfile.is_ours(hook) and b"buildguard hook -" in _content(hook):
        return str(hook)
    return None


def _configured(repository: Repository) -> bool:
    return any(
        hook.enabled and _HOOK in hook.events and "buildguard" in hook.command
        for hook in hooksplace.config_hooks(repository)
    )


def _runner(repository: Repository) -> Runner | None:
    return next(iter(hookrunners.found(repository.top)), None) if repository.top else None


def _is_native(place: HooksPlace) -> bool:
    hook = place.hook(_HOOK)
    return hook is not None and hookfile.calls_us(hook)


def _not_run(place: HooksPlace, runner: Runner | None, newer: bool) -> Finding | None:
    """Why git does not run us, the first reason that holds."""
    hook = place.hook(_HOOK)
    setup = runner.setup if runner else "buildguard install"
    if place.folder is None or hook is None:
        what = f"core.hooksPath is set empty ({place.scope} configuration): git runs no hook file here"
        return Finding("hook", what, "buildguard install --config" if newer else _unset(place))
    if not place.folder.is_dir() and place.setting is not None:
        what = (
            f"core.hooksPath is {place.setting}, and there is no folder {place.folder}: git silently runs no hook"
        )
        if runner is not None and runner.name == "husky":
            what = (
                f"husky is not set up in this work tree: {place.folder} is missing, and git silently runs no hook"
            )
        return Finding("hook", what, setup)
    if not hook.exists():
        return Finding("hook", f"no hook is installed: git looks for {hook}", setup)
    if not os.access(hook, os.X_OK):
        return Finding(
            "hook", f"{hook} is not executable: git ignores it", words.command(["chmod", "+x", str(hook)])
        )
    if b"buildguard" in _content(hook) or (runner is not None and runner.calls_us):
        return None
    what = f"{hook} does not call buildguard"
    if runner is not None:
        what = f"{runner.name} runs the hooks here, and {runner.file} does not call buildguard"
    return Finding("hook", what, "buildguard install")


def _unset(place: HooksPlace) -> str:
    if place.scope in ("local", "worktree", "global", "system"):
        return f"git config --{place.scope} --unset core.hooksPath"
    # It comes from the environment or the command line, where no file can be edited.
    return "env -u GIT_CONFIG_COUNT -u GIT_CONFIG_PARAMETERS git commit"


def _strays(repository: Repository) -> Iterator[Finding]:
    """Hooks that somebody put where git never looks: a linked work tree's own git dir."""
    for hook in sorted(repository.common_dir.glob(f"worktrees/*/hooks/{_HOOK}")):
        what = f"{hook} never runs: git takes all work trees' hooks from one folder"
        yield Finding("stray", what, "git rev-parse --git-path hooks", Weight.NOTE)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
