"""`buildguard install` and `uninstall`: the hook goes where git really runs it, and what was there comes back."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from buildguard.errors import Exit
from buildguard.git.repository import GitFault, Repository
from buildguard.session import Call
from buildguard.setup import confighook, hookfile, settingsfile
from buildguard.setup import hookspath as hooksplace
from buildguard.setup import runners as hookrunners
from buildguard.setup.hookfile import Change, Refusal
from buildguard.setup.hookspath import STAGES, HooksPlace
from buildguard.setup.runners import Runner
from buildguard.setup.settingsfile import CannotEdit, Edit
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report


class Way(Enum):
    """Where the hook goes: a file in the folder that git runs hooks from, or git's configuration."""

    FILE = "file"
    CONFIG = "config"


class Reach(Enum):
    """Whether a hooks folder that other repositories may use, too, can be written to."""

    HERE = "here"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True, slots=True)
class Wish:
    """What `install` was asked for. `check` is what to write into the settings; None leaves them alone."""

    way: Way = Way.FILE
    reach: Reach = Reach.HERE
    stages: Sequence[str] = ("pre-commit",)
    check: str | None = None


def install(call: Call, wish: Wish, python: str = sys.executable) -> Report:
    """Install the hook, or say what to write into the file of the hook runner that is in use here (in the
    report's `extra`: `file` and `block`). `python` is what the hook falls back to where `buildguard` is not on
    PATH."""
    try:
        repository = _repository(call)
        edit = _planned(repository, wish)
        runner = _runner(repository, wish)
        changes = [] if runner else _hook(repository, wish, python)
        written = _written(edit)
        if runner is not None:
            return _for_runner(runner, written)
    except Refusal as error:
        return Report("refused", Exit.FAILED, (f"refused: {error}", *error.more), error.next_command)
    except (GitFault, CannotEdit, OSError) as error:
        return Report("refused", Exit.FAILED, (f"error: {error}",), _mend(error))
    return _installed(changes, written, edit is not None or call.settings.check is not None)


def uninstall(call: Call, reach: Reach = Reach.HERE) -> Report:
    """Take the hook out again, and put back what was there before it, byte for byte. A hook that somebody edited
    since is left alone, and so are the settings."""
    try:
        repository = _repository(call)
        changes = [change for change in [confighook.remove(repository)] if change]
        for folder in _folders(repository, reach):
            changes += [change for stage in STAGES if (change := hookfile.restore(folder / stage))]
    except Refusal as error:
        return Report("refused", Exit.FAILED, (f"refused: {error}", *error.more), error.next_command)
    except (GitFault, OSError) as error:
        return Report("refused", Exit.FAILED, (f"error: {error}",), _mend(error))
    left = next((change for change in changes if change.left_alone), None)
    if left is not None:
        return Report("left", Exit.FAILED, tuple(change.line for change in changes), left.left_alone)
    if not changes:
        return Report("unchanged", Exit.OK, ("nothing to uninstall: no hook that buildguard installed is here",))
    return Report("uninstalled", Exit.OK, tuple(change.line for change in changes))


def _repository(call: Call) -> Repository:
    if call.repository is None:
        raise call.fault or Refusal("not a git repository", "git init")
    said, numbers = hooksplace.version(call.environment, call.cwd)
    if numbers < hooksplace.OLDEST:
        raise Refusal(f"git {said} is too old; buildguard needs git 2.31 or newer", "git --version")
    return call.repository


def _planned(repository: Repository, wish: Wish) -> Edit | None:
    if wish.check is None:
        return None
    if repository.top is None:
        raise Refusal("the check cannot be written: this is no work tree", "git worktree list")
    return settingsfile.planned(repository.top, "check", wish.check)


def _written(edit: Edit | None) -> Change | None:
    if edit is None:
        return None
    if not edit.changes:
        return Change(f"the check stands in {edit.path} already")
    edit.write()
    return Change(f"wrote the check into {edit.path}", new=True)


def _runner(repository: Repository, wish: Wish) -> Runner | None:
    """The hook runner whose hook file is not ours to replace. The configuration hook runs beside any."""
    if wish.way is Way.CONFIG or repository.top is None:
        return None
    return next(iter(hookrunners.found(repository.top)), None)


def _hook(repository: Repository, wish: Wish, python: str) -> list[Change]:
    if wish.way is Way.CONFIG:
        place = hooksplace.hooks_place(repository)
        files = [hook for stage in wish.stages if (hook := place.hook(stage)) and hookfile.is_ours(hook)]
        if files:
            again = "buildguard uninstall && buildguard install --config"
            raise Refusal(f"the hook is installed as {files[0]}; git would run the check twice", again)
        return [confighook.add(repository, wish.stages, python)]
    if set(wish.stages) <= confighook.stages(repository):
        return [Change("the hook is installed already, in git's configuration: hook.buildguard")]
    place = hooksplace.hooks_place(repository)
    _refuse_elsewhere(place, repository, wish.reach)
    # A file that may be committed must not bear the path of this machine's interpreter.
    fallback = None if hooksplace.in_work_tree(place, repository) else python
    return [hookfile.put(hook, fallback) for stage in wish.stages if (hook := place.hook(stage))]


def _folders(repository: Repository, reach: Reach) -> list[Path]:
    """Where `uninstall` looks: where git runs hooks now, and where it did before somebody set a hooks path."""
    place = hooksplace.hooks_place(repository)
    folders = [repository.common_dir / "hooks"]
    if place.folder is None or place.folder == folders[0]:
        return folders
    ours = any(hookfile.is_ours(place.folder / stage) for stage in STAGES)
    if ours and reach is Reach.HERE and hooksplace.is_elsewhere(place, repository):
        line = f"{place.folder} serves other repositories, too"
        raise Refusal(line, "buildguard uninstall --global-hooks-path")
    return [place.folder, *folders]


def _refuse_elsewhere(place: HooksPlace, repository: Repository, reach: Reach) -> None:
    newer = hooksplace.version(repository.environment, repository.common_dir)[1] >= hooksplace.WITH_CONFIG_HOOKS
    show = "git config --show-scope --show-origin --get core.hooksPath"
    if place.folder is None:
        line = f"core.hooksPath is set empty ({place.scope}), so git runs no hook files here"
        raise Refusal(line, "buildguard install --config" if newer else show)
    if reach is Reach.HERE and hooksplace.is_elsewhere(place, repository):
        where = f"set in the {place.scope} configuration" if place.scope else "a link out of this repository"
        raise Refusal(
            f"git runs hooks from {place.folder} here ({where}): a hook there runs in other repositories, too",
            "buildguard install --config" if newer else show,
            (
                "buildguard install --global-hooks-path installs it there all the same",
                "a core.hooksPath of this repository alone switches those other hooks off here",
            ),
        )


def _installed(changes: list[Change], written: Change | None, has_check: bool) -> Report:
    steps = [*changes, written] if written else changes
    lines = tuple(step.line for step in steps)
    outcome = "installed" if any(step.new for step in steps) else "unchanged"
    if has_check:
        return Report(outcome, Exit.OK, lines)
    line = "no check is set yet, and without one the hook refuses to commit"
    return Report(outcome, Exit.OK, (*lines, line), "buildguard install --check 'pytest -q'")


def _for_runner(runner: Runner, written: Change | None) -> Report:
    lines = (written.line,) if written else ()
    extra = {"runner": runner.name, "file": str(runner.file), "block": runner.block}
    if runner.calls_us:
        line = f"{runner.name} calls buildguard already: it stands in {runner.file}"
        return Report("unchanged", Exit.OK, (*lines, line), extra={**extra, "block": ""})
    line = f"not installed: {runner.name} runs the hooks here; add the block above to {runner.file}, {runner.under}"
    then = f"then make sure that git calls {runner.name}: {runner.setup}"
    edit = words.command([str(runner.file)], "${EDITOR:-vi} ")
    if runner.name == "husky":
        edit = words.command([str(runner.file)], "echo 'buildguard hook' >> ")
    return Report("runner", Exit.FAILED, (*lines, line, then), edit, extra=extra)


def _mend(error: Exception) -> str:
    if isinstance(error, GitFault) and error.next_command:
        return error.next_command
    if isinstance(error, CannotEdit):
        return words.command([str(error.path)], "${EDITOR:-vi} ") or "git status"
    if isinstance(error, OSError) and error.filename:
        return words.command(["ls", "-ld", str(error.filename)]) or "git status"
    return "git status"
