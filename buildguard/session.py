"""What one command works with: its repository, its settings, its voice, and the guard, if there can be one."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from buildguard.agents.identity import Agent, checked_id, in_ci
from buildguard.checks.runner import Command, scrubbed
from buildguard.claims.guard import Guard, Terms
from buildguard.claims.model import REPO, Event
from buildguard.errors import Distrusted, GitFault, SettingsError, Unavailable, Unidentified, report_bug
from buildguard.git import checkouts, private
from buildguard.git.repository import Repository, find_repository
from buildguard.settings import Settings, load, suggested_check
from buildguard.store import open_store
from buildguard.text import command, quoted
from buildguard.ui.answers import Answers
from buildguard.ui.reports import Report, unavailable
from buildguard.ui.voice import Voice

T = TypeVar("T")

FAULTS = (Unavailable, Unidentified, GitFault)
"""What makes coordination unavailable."""
AIMING = ("build", "scope", "db", "agent")
"""The options that say what a call is about and who calls: a `next:` line runs in a fresh shell and repeats
them."""
AIMED = ("run", "hook", "commit", "cherry-pick", "claim", "release", "wait", "status", "reset")
"""The commands that take all of these options."""
BEGAN = time.monotonic()
"""When this command began, or nearly."""
FRESH_VARIABLE = "BUILDGUARD_FRESH"
"""Is set where `--fresh` asks for a run of one's own, also to the hook of a commit."""
_RUNNERS = ("PRE_COMMIT", "PREK_HOOK_STAGE", "LEFTHOOK")


class Surroundings(NamedTuple):
    """What the guard is told of the world. `given` is the caller's id from an option, `name` that of the checkout;
    the store is `shared` by several clones, by an `engine` for all machines.

    A passing hook asks for none of it, so it does not load what looks at processes.
    """

    repository: Repository
    given: str | None
    name: str
    shared: bool
    engine: bool = False

    def identify(self) -> Agent:
        """Who is calling. Sub-agents may share a session's id: only the process above us tells them apart."""
        from buildguard.agents.lineage import identify, parent_token

        environment = self.repository.environment
        found = identify(self.given, environment, self.name)
        if found.given or found.process or in_ci(environment):
            return found
        return found._replace(process=parent_token(environment))

    def dead(self, agent: str, process: str) -> bool:
        """Whether the process that an agent's id stands for is known to have ended."""
        from buildguard.agents.lineage import claim_is_dead

        return claim_is_dead(agent, process)

    def gone(self, checkout: str) -> bool:
        """Whether that checkout is known to be gone."""
        name = checkout.removeprefix("checkout:")
        return checkouts.gone(self.repository.common_dir, name, self.shared)

    def elsewhere(self, checkout: str) -> bool:
        """Whether that checkout is of another clone, with which we share an engine."""
        name = checkout.removeprefix("checkout:")
        return self.engine and not checkouts.registered(self.repository.common_dir, name)


class Session(NamedTuple):
    """The parts that a command works with. Without a guard, `fault` says why there is none. `aim` are the options
    that a `next:` line has to repeat, `through` those of git in `git -C there buildguard …`."""

    environment: Mapping[str, str]
    cwd: Path
    repository: Repository | None
    settings: Settings
    voice: Voice
    guard: Guard | None
    fault: Exception | None = None
    aim: tuple[str, ...] = ()
    through: tuple[str, ...] = ()

    @property
    def checkout(self) -> str:
        """The scope of this checkout."""
        return self.guard.checkout if self.guard else ""

    @property
    def answers(self) -> Answers:
        """What composes the answers of this command."""
        inside = self.repository is not None and self.cwd != self.repository.top
        return Answers(self.checkout, self.settings.build, self.aim, self.settings.check, inside, self.program)

    @property
    def program(self) -> tuple[str, ...]:
        """The words by which a `next:` line calls us."""
        return ("git", *self.through, "buildguard") if self.through else ("buildguard",)

    def git(self, *words: str) -> str:
        """A git command for a `next:` line."""
        return self.answers.git(*words)

    @property
    def agent_option(self) -> str | None:
        """The id that the caller gave itself, if it did."""
        at = self.aim.index("--agent") + 1 if "--agent" in self.aim else 0
        return self.aim[at] if at else None

    def again(self, given: Sequence[str]) -> str | None:
        """The command line that repeats this one, with what came from the environment in it."""
        return repeated(given, self.aim, self.program)

    def up_to_date(self) -> "Session":
        """The same, with HEAD and branch as they are now; as they were, if git does not answer."""
        with suppress(GitFault):
            if self.repository is not None:
                return self._replace(repository=self.repository.up_to_date())
        return self

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
        """Coordinate, if that can be done. No fault of ours touches the check's verdict: it is said once, and None
        comes back."""
        try:
            return work(self.required())
        except FAULTS as error:
            self._tell(unavailable(error))
        except SettingsError:
            raise
        except Exception as error:  # noqa: BLE001  a bug of ours must not change the verdict, either
            self.voice.say_once(f"coordination is unavailable: a bug in buildguard; report: {report_bug(error)}")
        return None

    def _tell(self, report: Report) -> None:
        for line in report.lines:
            self.voice.say_once(line)
        if report.next is not None:
            self.voice.say_once(f"to mend it: {report.next}")


def open_session(
    options: Mapping[str, object],
    environment: Mapping[str, str],
    cwd: Path,
    hook: bool = False,
) -> Session:
    """Put the parts together; `options` are those given on the command line, by name. Raises `SettingsError`; a
    missing repository only leaves out the guard."""
    if options.get("fresh"):
        environment = {**environment, FRESH_VARIABLE: "1"}
    repository: Repository | None = None
    fault: Exception | None = None
    try:
        repository = find_repository(cwd, environment)
    except GitFault as error:
        fault = error
    # What git will not trust may name any command as its check.
    root = repository.top if repository else None if isinstance(fault, Distrusted) else cwd
    chosen = load(options, environment, root)
    in_runner = any(name in environment for name in _RUNNERS)
    voice = Voice(chosen.build, bool(options.get("json")), environment, in_runner, hook)
    if chosen.engine and environment.get("BUILDGUARD_DB"):
        voice.say_once("BUILDGUARD_DB is not used: the engine of the settings is for all clones already")
        environment = {name: value for name, value in environment.items() if name != "BUILDGUARD_DB"}
    agent = _given_id(options, environment)
    scope = options.get("scope") or environment.get("BUILDGUARD_SCOPE")
    if scope not in (None, "", "checkout", REPO):
        raise SettingsError(f"BUILDGUARD_SCOPE: {scope!r} is neither checkout nor repo")
    guard = None
    if repository is not None:
        try:
            guard = _guard(repository, chosen, agent, str(scope) if scope else None, voice)
            if chosen.on_change is not None:
                guard.told = partial(_on_change, repository, chosen, voice)
        except FAULTS as error:
            fault = error
    return Session(
        environment, cwd, repository, chosen, voice, guard, fault, aiming(options, environment, chosen.db)
    )


def here() -> Path:
    """The folder that the command runs in; a deleted one is its own clear error."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise SettingsError(
            f"the current folder does not exist any more ({os.environ.get('PWD', '?')})", 'cd "$HOME"'
        ) from error


def repeated(given: Sequence[str], aim: Sequence[str], program: Sequence[str] = ("buildguard",)) -> str | None:
    """A command line of ours as it can be run in a fresh shell: with those options of `aim` that it lacks."""
    if not given:
        return None
    aim = () if given[0] not in AIMED else aim
    named = given[: given.index("--")] if "--" in given else given
    missing = [
        word
        for option, value in zip(aim[::2], aim[1::2], strict=True)
        if not any(one == option or one.startswith(f"{option}=") for one in named)
        for word in (option, value)
    ]
    return command([*program, given[0], *missing, *given[1:]])


def the_check(session: Session, given: Sequence[str]) -> Command:
    """The check: after `--`, else from the settings. Raises `SettingsError` where there is none."""
    check = Command.from_words(given) if given else session.settings.check
    if check is not None:
        return check
    if session.repository is None and session.fault is not None:
        raise session.fault
    top = (session.repository.top if session.repository else None) or session.cwd
    suggested = suggested_check(top)
    raise SettingsError(
        f'no check: give it after --, in BUILDGUARD_CHECK, or as check = "…" in {top / ".buildguard.toml"}',
        f"buildguard install --check {quoted(suggested)}" if suggested else "buildguard install --help",
    )


def aiming(
    options: Mapping[str, object], environment: Mapping[str, str], db: Path | None = None
) -> tuple[str, ...]:
    """The options to be repeated, each with its value: as given here, or by a variable of the environment. `db` is
    where the database lies: a relative path in a variable means the same file in every folder, as an option not."""
    found: list[str] = []
    for name in AIMING:
        value = options.get(name) or environment.get(f"BUILDGUARD_{name.upper()}")
        if value:
            found += [f"--{name}", str(db.absolute() if db and name == "db" else value)]
    return tuple(found)


def _given_id(options: Mapping[str, object], environment: Mapping[str, str]) -> str | None:
    """The id on the command line. A wrong one is told at once, not when it first matters."""
    option = options.get("agent")
    try:
        if environment.get("BUILDGUARD_AGENT"):
            checked_id(environment["BUILDGUARD_AGENT"], "BUILDGUARD_AGENT")
        return None if option is None else checked_id(str(option), "--agent")
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _guard(repository: Repository, chosen: Settings, agent: str | None, scope: str | None, voice: Voice) -> Guard:
    name = checkouts.name_of(repository)
    checkout = f"checkout:{name}"
    ours = _origin(repository) if chosen.db else ""
    told = (repository.environment, voice.say_once)
    kept = open_store(chosen.db, repository.common_dir, ours, chosen.engine, *told)
    world = Surroundings(repository, agent, name, bool(chosen.db or chosen.engine), bool(chosen.engine))
    terms = Terms(chosen.stale_after, chosen.max_claim, repository.head, repository.branch)
    return Guard(kept, chosen.build, checkout, world, terms, checkout if scope == "checkout" else scope)


def _on_change(repository: Repository, chosen: Settings, voice: Voice, event: Event) -> None:
    """Tell the user's own command what happened."""
    import json

    from buildguard.checks.on_change import tell
    from buildguard.ui.keys import event_facts

    facts = {"schema": 1, "repository": str(repository.common_dir), "build": chosen.build, **event_facts(event)}
    environment = scrubbed(repository.environment, repository.local_variables, None)
    try:
        notes = private.folder(repository.common_dir) / f"on-change-{os.getuid()}.lock"
        failed = tell(chosen.on_change, json.dumps(facts).encode(), environment, notes) if chosen.on_change else ""
    except OSError as error:
        failed = str(error)
    if failed:
        voice.say_once(f"on-change failed: {failed}")


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
