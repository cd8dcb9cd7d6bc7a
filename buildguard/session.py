"""One call of buildguard: its repository, its settings, its voice, and the guard, if there can be one."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from buildguard import settings
from buildguard.agents.identity import Agent, Unidentified, checked_id, identify
from buildguard.claims.guard import Guard
from buildguard.errors import Exit
from buildguard.git import repository as git
from buildguard.git.repository import GitFault, Repository
from buildguard.settings import Settings, SettingsError
from buildguard.store.faults import Fault, Unavailable
from buildguard.store.sqlite import Store
from buildguard.ui import phrases as words
from buildguard.ui.reports import Report
from buildguard.ui.voice import Voice

T = TypeVar("T")

NAME_YOURSELF = 'export BUILDGUARD_AGENT="$(hostname)-$$"'
"""What gives a shell an identity of its own."""


class Call(NamedTuple):
    """The parts that a command works with. Without a guard, `fault` says why there is none."""

    environment: Mapping[str, str]
    cwd: Path
    repository: Repository | None
    settings: Settings
    voice: Voice
    guard: Guard | None
    fault: Exception | None = None
    keep_git_environment: bool = False

    @property
    def checkout(self) -> str:
        """The scope of this work tree."""
        return self.guard.checkout if self.guard else ""

    def same_clone(self, scope: str) -> bool:
        """Whether a checkout's scope is a work tree of this clone: one database may serve several."""
        if self.repository is None or self.settings.db is None:
            return True
        own = f"checkout:{_place(self.repository._replace(git_dir=self.repository.common_dir))}"
        return scope == own or scope.startswith(f"{own}/")

    def up_to_date(self) -> "Call":
        """The same, with HEAD and branch as they are now; as they were, if git does not answer."""
        with suppress(GitFault):
            if self.repository is not None:
                head, branch = self.repository.where()
                return self._replace(repository=self.repository._replace(head=head, branch=branch))
        return self

    def _tell(self, report: Report) -> None:
        for line in report.lines:
            self.voice.say_once(line)
        if report.next is not None:
            self.voice.say_once(f"to mend it: {report.next}")

    def required_repository(self) -> Repository:
        """The repository with a work tree, for a command that does nothing without one. Raises `GitFault`."""
        if self.repository is None:
            raise self.fault or GitFault("not a git repository")
        if self.repository.top is None:
            raise GitFault("a bare repository has no work tree")
        return self.repository

    def required(self) -> Guard:
        """The guard, for a command that does nothing without one. Raises what keeps it away."""
        if self.guard is None:
            raise self.fault or GitFault("not a git repository")
        return self.guard

    def coordinate(self, work: Callable[[Guard], T]) -> T | None:
        """Coordinate, if that can be done. No fault of ours touches the check's verdict: it is said, and
        None comes back."""
        try:
            return work(self.required())
        except FAULTS as error:
            self._tell(unavailable(error))
            return None
        except Exception as error:
            if isinstance(error, SettingsError):
                raise
            from buildguard import bug

            self.voice.say(f"coordination is unavailable: a bug in buildguard; the report is in {bug.write(error)}")
            return None


FAULTS = (Unavailable, Unidentified, GitFault)
"""What makes coordination unavailable."""


def unavailable(error: Exception) -> Report:
    """What is said where coordination is unavailable, and what mends it."""
    return Report("unavailable", Exit.UNAVAILABLE, (f"coordination is unavailable: {error}",), _mend(error))


def open_call(
    options: Mapping[str, object],
    environment: Mapping[str, str],
    cwd: Path,
    json: bool = False,
    hook: bool = False,
    scope: str | None = None,
) -> Call:
    """Put the parts together. Raises `SettingsError`; a missing repository only leaves out the guard."""
    repository: Repository | None = None
    fault: Exception | None = None
    try:
        repository = git.repository(cwd, environment)
    except GitFault as error:
        fault = error
    chosen = settings.load(options, environment, repository.top if repository else cwd)
    framework = any(name in environment for name in ("PRE_COMMIT", "PREK_HOOK_STAGE", "LEFTHOOK"))
    voice = Voice(chosen.build, json, environment, framework, hook)
    guard = None
    if repository is not None:
        # One database may serve several clones: each has a main work tree of the same name.
        where = repository.work_tree if chosen.db is None else _place(repository)
        who = _identifier(_given_id(options, environment), environment, where)
        guard = _guard(repository, chosen, who, scope)
    return Call(environment, cwd, repository, chosen, voice, guard, fault)


def _identifier(option: str | None, environment: Mapping[str, str], work_tree: str) -> Callable[[], Agent]:
    def who() -> Agent:
        return identify(option, environment, work_tree)

    return who


def _given_id(options: Mapping[str, object], environment: Mapping[str, str]) -> str | None:
    """The id on the command line. A wrong one is told at once, not when it first matters."""
    option = options.get("agent")
    try:
        if environment.get("BUILDGUARD_AGENT"):
            checked_id(environment["BUILDGUARD_AGENT"], "BUILDGUARD_AGENT")
        return None if option is None else checked_id(str(option), "--agent")
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _guard(repository: Repository, chosen: Settings, who: Callable[[], Agent], scope: str | None) -> Guard:
    checkout = f"checkout:{repository.work_tree}"
    if chosen.db is None:
        store = Store(repository.common_dir / "buildguard" / "state.db")
    else:
        # One file may serve clones and machines: a work tree's name alone would not tell them apart.
        store = Store(chosen.db, repository=_origin(repository))
        checkout = f"checkout:{_place(repository)}"
    asked = checkout if scope == "checkout" else scope
    terms = (chosen.stale_after, chosen.max_claim)
    return Guard(store, chosen.build, checkout, who, *terms, asked, repository.head, lambda: git.born(repository))


def _place(repository: Repository) -> str:
    """What names the work tree among all machines' and clones'."""
    return f"{os.uname().nodename}:{repository.git_dir}"


def _origin(repository: Repository) -> str:
    """What names the repository in a database that others share: its origin, without any password in it."""
    try:
        url = repository.git("config", "--get", "remote.origin.url")
    except GitFault:
        return str(repository.common_dir)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path


def _mend(error: Exception) -> str | None:
    if isinstance(error, Unidentified):
        return NAME_YOURSELF
    if isinstance(error, GitFault):
        return error.next_command
    if not isinstance(error, Unavailable):
        return None
    path = str(error.path)
    if error.fault in (Fault.NOT_A_DATABASE, Fault.DAMAGED, Fault.FOREIGN):
        return words.command(["mv", path, f"{path}.set-aside"])
    if error.fault is Fault.FULL:
        return words.command(["df", "-h", str(error.path.parent)])
    if error.fault is Fault.LOCKED:
        return words.command(["fuser", "-v", path])
    return words.command(["ls", "-ld", str(error.path.parent), path])


def here() -> Path:
    """The folder that the command runs in; a deleted one is its own clear error."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise SettingsError(f"the current folder does not exist any more ({os.environ.get('PWD', '?')})") from error
