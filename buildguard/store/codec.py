"""How states, events and evidence lie in SQLite's tables. Only SQL that SQLite 3.31 understands."""

from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from buildguard.claims.model import Claim, Event, Evidence, Outcome, State, Status

E = TypeVar("E", bound=StrEnum)

GREATEST = 250e9
"""No number that buildguard writes is greater; as seconds it is the year 9892."""

_TABLES = (
    """CREATE TABLE build_state (
        build TEXT NOT NULL, scope TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('passing', 'broken', 'fixing')),
        claim_number INTEGER NOT NULL, fixer_agent_id TEXT, fixer_checkout TEXT, claimed_at REAL, seen_at REAL,
        stale_after REAL, max_claim REAL, fixer_process TEXT, attempts INTEGER,
        check_command TEXT NOT NULL, broken_since REAL, last_check REAL, updated_at REAL, reason TEXT NOT NULL,
        failures TEXT NOT NULL, head TEXT NOT NULL, opened_after INTEGER NOT NULL, passed_after INTEGER NOT NULL,
        superseded_agent_id TEXT, superseded_number INTEGER, revision INTEGER NOT NULL,
        CHECK ((status = 'fixing') = (fixer_agent_id IS NOT NULL)),
        PRIMARY KEY (build, scope))""",
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT, build TEXT NOT NULL, at REAL NOT NULL,
        kind TEXT NOT NULL, scope TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
        claim_number INTEGER NOT NULL, agent_id TEXT NOT NULL, other_agent_id TEXT, reason TEXT NOT NULL,
        failures TEXT NOT NULL, attempts INTEGER NOT NULL, checkout TEXT NOT NULL, head TEXT NOT NULL,
        tree TEXT NOT NULL, branch TEXT NOT NULL, committing INTEGER NOT NULL, lasted REAL, fixed_at REAL)""",
    "CREATE INDEX event_of_build ON event (build, id)",
    "CREATE INDEX event_of_fix ON event (build, id) WHERE kind IN ('fixed', 'released')",
    """CREATE TABLE evidence (
        build TEXT NOT NULL, check_command TEXT NOT NULL, tree TEXT NOT NULL, passed INTEGER NOT NULL,
        at REAL NOT NULL, agent_id TEXT NOT NULL, PRIMARY KEY (build, check_command, tree, agent_id))""",
)
STEPS = (
    _TABLES,
    (
        "ALTER TABLE event ADD COLUMN check_command TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE build_state ADD COLUMN began_with TEXT NOT NULL DEFAULT ''",
        "UPDATE build_state SET began_with = failures",
        "ALTER TABLE build_state ADD COLUMN staged TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE evidence ADD COLUMN failures TEXT NOT NULL DEFAULT ''",
    ),
)
"""The statements that bring a file from one schema to the next: from none to 1, from 1 to 2, …"""
VERSION = len(STEPS)

_STATE_COLUMNS = (
    "scope, status, claim_number, fixer_agent_id, fixer_checkout, claimed_at, seen_at, stale_after, max_claim,"
    " fixer_process, attempts, check_command, broken_since, last_check, updated_at, reason, failures, head,"
    " opened_after, passed_after, superseded_agent_id, superseded_number, began_with, staged"
)
_EVENT_COLUMNS = (
    "kind, scope, before, after, claim_number, agent_id, other_agent_id, reason, failures, attempts, checkout,"
    " head, tree, branch, committing, lasted, fixed_at, check_command"
)

_STATE_KINDS = "T T I t t r r r r t i T r r r T T T I I t i T T I"
_EVENT_KINDS = "I R T T T T I T t T T I T T T T I r r T"
_EVIDENCE_COLUMNS = "check_command, tree, passed, at, agent_id, failures"
_EVIDENCE_KINDS = "T T I R T T"
"""What a column holds: text, an integer, a real number of seconds; in small letters it may be NULL."""


class Garbage(ValueError):
    """A row that buildguard did not write; the message is one short line."""


def _marks(columns: str) -> str:
    return ", ".join("?" for _ in columns.split(","))


SELECT_STATES = f"SELECT {_STATE_COLUMNS}, revision FROM build_state WHERE build = ?"  # noqa: S608
INSERT_STATE = (
    f"INSERT INTO build_state ({_STATE_COLUMNS}, build, revision)"  # noqa: S608
    f" VALUES ({_marks(_STATE_COLUMNS)}, ?, 1) ON CONFLICT DO NOTHING"
)
UPDATE_STATE = (
    f"UPDATE build_state SET {', '.join(name + ' = ?' for name in _STATE_COLUMNS.split(','))},"  # noqa: S608
    " revision = revision + 1 WHERE build = ? AND scope = ? AND revision = ?"
)
SELECT_EVENTS = f"SELECT id, at, {_EVENT_COLUMNS} FROM event WHERE build = ? ORDER BY id DESC LIMIT ?"  # noqa: S608
SELECT_FIXES = (
    f"SELECT id, at, {_EVENT_COLUMNS} FROM event"  # noqa: S608
    " WHERE build = ? AND kind IN ('fixed', 'released') ORDER BY id DESC LIMIT ?"
)
SELECT_OWN_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'build_state'"
SELECT_LAST_EVENT = "SELECT max(id) FROM event WHERE build = ?"
INSERT_EVENT = f"INSERT INTO event (build, at, {_EVENT_COLUMNS}) VALUES (?, ?, {_marks(_EVENT_COLUMNS)})"  # noqa: S608
SELECT_EVIDENCE = f"SELECT {_EVIDENCE_COLUMNS} FROM evidence WHERE build = ? AND at > ?"  # noqa: S608
DELETE_EVIDENCE = "DELETE FROM evidence WHERE build = ? AND check_command = ? AND tree = ? AND agent_id = ?"
INSERT_EVIDENCE = (
    "INSERT OR REPLACE INTO evidence (build, check_command, tree, agent_id, passed, at, failures)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
PRUNE_EVIDENCE = (
    "DELETE FROM evidence WHERE build = ? AND (at <= ? OR rowid NOT IN"
    " (SELECT rowid FROM evidence WHERE build = ? ORDER BY at DESC LIMIT ?))"
)


def stored(text: str | None) -> str | bytes | None:
    """Text as SQLite takes it. What is not Unicode, such as a file name in another encoding within a check, is
    kept as it is: coordination must not fail for it."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def _believed(row: tuple[Any, ...], columns: str, kinds: str) -> list[Any]:
    """The values of a row, if each is of its column's kind. SQLite itself checks none of that."""
    return [
        _checked(value, name.strip(), kind)
        for value, name, kind in zip(row, columns.split(","), kinds.split(), strict=True)
    ]


def _checked(value: object, name: str, kind: str) -> object:
    if isinstance(value, bytes) and kind in "Tt":
        with suppress(UnicodeDecodeError):
            value = value.decode(errors="surrogatepass")
    if not _fits(value, kind):
        shown = repr(value)
        raise Garbage(f"{name} is {shown if len(shown) <= 40 else shown[:39] + '…'}")
    return value


def _fits(value: object, kind: str) -> bool:
    if value is None:
        return kind.islower()
    if kind in "Tt":
        return isinstance(value, str)
    return isinstance(value, int if kind in "Ii" else float) and abs(value) <= GREATEST


def _word(kind: type[E], value: str, name: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise Garbage(f"{name} is {value[:40]!r}") from None


def state_values(state: State) -> tuple[object, ...]:
    """The values of a state in the order of its columns."""
    claim = state.claim
    held = (
        (
            stored(claim.agent),
            stored(claim.checkout),
            claim.claimed_at,
            claim.seen_at,
            claim.stale_after,
            claim.max_claim,
            stored(claim.process),
            claim.attempts,
        )
        if claim
        else (None,) * 8
    )
    return (
        stored(state.scope),
        state.status.value,
        state.number,
        *held,
        stored(state.check),
        state.broken_since,
        state.last_check,
        state.updated_at,
        stored(state.reason),
        stored("\n".join(state.failures)),
        stored(state.head),
        state.opened_after,
        state.passed_after,
        stored(state.superseded_agent),
        state.superseded_number,
        stored("\n".join(state.began)),
        stored(state.staged),
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def state_of(row: tuple[Any, ...]) -> State:
    """The state that a row of `SELECT_STATES` holds. Raises `Garbage`."""
    believed = _believed(row, f"{_STATE_COLUMNS}, revision", _STATE_KINDS)
    scope, status, number, agent, checkout, claimed_at, seen_at, stale_after, max_claim, process, attempts = (
        believed[:11]
    )
    if believed[-1] < 1:
        raise Garbage(f"revision is {believed[-1]}")
    claim = None
    if (agent is None) == (status == Status.FIXING.value):
        raise Garbage(f"status is {status!r}, fixer_agent_id is {agent!r}")
    if agent is not None:
        if None in (checkout, claimed_at, seen_at, stale_after, max_claim, attempts):
            raise Garbage("a claim lacks one of its values")
        claim = Claim(agent, checkout, claimed_at, seen_at, stale_after, max_claim, process, attempts)
    check, broken_since, last_check, updated_at, reason, failures, head = believed[11:18]
    opened_after, passed_after, superseded_agent, superseded_number, began, staged, revision = believed[18:]
    return State(
        scope,
        _word(Status, status, "status"),
        number,
        claim,
        check,
        broken_since,
        last_check,
        updated_at,
        reason,
        _lines(failures),
        head,
        opened_after,
        passed_after,
        superseded_agent,
        superseded_number,
        _lines(began),
        staged,
        revision,
    )


def event_values(event: Event) -> tuple[object, ...]:
    """The values of an event in the order of its columns, without id and time: the store gives those."""
    return (
        event.kind.value,
        stored(event.scope),
        event.before.value,
        event.after.value,
        event.number,
        stored(event.agent),
        stored(event.other),
        stored(event.reason),
        stored("\n".join(event.failures)),
        event.attempts,
        stored(event.checkout),
        stored(event.head),
        stored(event.tree),
        stored(event.branch),
        event.committing,
        event.lasted,
        event.fixed_at,
        stored(event.check),
    )


def event_of(row: tuple[Any, ...]) -> Event:
    """The event that a row of `SELECT_EVENTS` or `SELECT_FIXES` holds. Raises `Garbage`."""
    believed = _believed(row, f"id, at, {_EVENT_COLUMNS}", _EVENT_KINDS)
    number, at, kind, scope, before, after, claim, agent, other, reason, failures, attempts, *rest = believed
    checkout, head, tree, branch, committing, lasted, fixed_at, check = rest
    return Event(
        _word(Outcome, kind, "kind"),
        scope,
        _word(Status, before, "before"),
        _word(Status, after, "after"),
        claim,
        agent,
        other,
        reason,
        _lines(failures),
        attempts,
        checkout,
        head,
        tree,
        branch,
        bool(committing),
        lasted,
        fixed_at,
        check,
        number,
        at,
    )


def evidence_of(row: tuple[Any, ...]) -> Evidence:
    """The evidence that a row of `SELECT_EVIDENCE` holds. Raises `Garbage`."""
    check, tree, passed, at, agent, failures = _believed(row, _EVIDENCE_COLUMNS, _EVIDENCE_KINDS)
    return Evidence(check, tree, bool(passed), at, agent, _lines(failures))


def evidence_values(evidence: Evidence, at: float) -> tuple[object, ...]:
    """The values of `INSERT_EVIDENCE` after the build; `at` is the store's time."""
    return (*evidence_key(evidence), evidence.passed, at, stored("\n".join(evidence.failures)))


def evidence_key(evidence: Evidence) -> tuple[object, ...]:
    """What names a piece of evidence within its build, in the order of the statements that write it."""
    return stored(evidence.check), stored(evidence.tree), stored(evidence.agent)
