"""The hook in git's configuration (`hook.buildguard`): git 2.54 and newer runs it in every work tree, beside hook
files, and even where `core.hooksPath` is set empty."""

from collections.abc import Iterable

from buildguard.git.repository import Repository
from buildguard.setup import hookspath as hooksplace
from buildguard.setup import shim
from buildguard.setup.hookfile import Change, Refusal
from buildguard.setup.hookspath import ConfigHook

_NAME = "buildguard"
_SHOW = "git config --local --get-regexp '^hook[.]buildguard[.]'"


def add(repository: Repository, stages: Iterable[str], python: str | None) -> Change:
    """Install it for this repository. Raises `Refusal` and `GitFault`."""
    said, numbers = hooksplace.version(repository.environment, repository.common_dir)
    if numbers < hooksplace.WITH_CONFIG_HOOKS:
        line = f"git runs hooks from its configuration since 2.54, and this is git {said}"
        raise Refusal(line, "buildguard install")
    there = _ours(repository)
    if there is not None and not _untouched(there):
        raise Refusal("hook.buildguard is set in this repository's configuration, and not by buildguard", _SHOW)
    command = shim.config_command(python)
    missing = [stage for stage in stages if there is None or stage not in there.events]
    if there is not None and not missing and there.command == command:
        return Change("the hook is installed already, in git's configuration: hook.buildguard")
    # The command first: an event without one makes every git command that runs hooks die.
    repository.git("config", "--local", f"hook.{_NAME}.command", command)
    for stage in missing:
        repository.git("config", "--local", "--add", f"hook.{_NAME}.event", stage)
    return Change("installed the hook in this repository's git configuration: hook.buildguard", new=True)


def remove(repository: Repository) -> Change | None:
    """Take it out. None where there is none; one that somebody changed is left alone. Raises `GitFault`."""
    there = _ours(repository)
    if there is None:
        return None
    if not _untouched(there):
        return Change("left alone: hook.buildguard was changed after buildguard installed it", left_alone=_SHOW)
    repository.git("config", "--local", "--remove-section", f"hook.{_NAME}")
    return Change("removed the hook from this repository's git configuration: hook.buildguard", new=True)


def stages(repository: Repository) -> set[str]:
    """The stages for which our configuration hook stands here and this git runs it."""
    there = _ours(repository)
    numbers = hooksplace.version(repository.environment, repository.common_dir)[1]
    runs = there is not None and there.enabled and numbers >= hooksplace.WITH_CONFIG_HOOKS
    return set(there.events) if runs and there else set()


def _ours(repository: Repository) -> ConfigHook | None:
    hooks = hooksplace.config_hooks(repository, "--local")
    return next((hook for hook in hooks if hook.name == _NAME), None)


def _untouched(hook: ConfigHook) -> bool:
    return shim.is_config_command(hook.command) and hook.keys <= {"command", "event"}
