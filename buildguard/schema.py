"""How states, events and evidence lie in SQLite's tables. Only SQL that SQLite 3.31 understands."""

from typing import Any

from buildguard.rules import Claim, Event, Evidence, Outcome, State, Status

VERSION = 1

TABLES = (
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

_STATE_COLUMNS = (
    "scope, status, claim_number, fixer_agent_id, fixer_checkout, claimed_at, seen_at, stale_after, max_claim,"
    " fixer_process, attempts, check_command, broken_since, last_check, updated_at, reason, failures, head,"
    " opened_after, passed_after, superseded_agent_id, superseded_number"
)
_EVENT_COLUMNS = (
    "kind, scope, before, after, claim_number, agent_id, other_agent_id, reason, failures, attempts, checkout,"
    " head, tree, branch, committing, lasted, fixed_at"
)


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
    " WHERE build = ? AND kind IN ('fixed', 'released') AND at > ? ORDER BY id DESC LIMIT ?"
)
SELECT_LAST_EVENT = "SELECT max(id) FROM event WHERE build = ?"
INSERT_EVENT = f"INSERT INTO event (build, at, {_EVENT_COLUMNS}) VALUES (?, ?, {_marks(_EVENT_COLUMNS)})"  # noqa: S608
SELECT_EVIDENCE = "SELECT check_command, tree, passed, at, agent_id FROM evidence WHERE build = ? AND at > ?"
DELETE_EVIDENCE = "DELETE FROM evidence WHERE build = ? AND check_command = ? AND tree = ? AND agent_id = ?"
INSERT_EVIDENCE = (
    "INSERT OR REPLACE INTO evidence (build, check_command, tree, agent_id, passed, at) VALUES (?, ?, ?, ?, ?, ?)"
)
PRUNE_EVIDENCE = (
    "DELETE FROM evidence WHERE build = ? AND (at <= ? OR rowid NOT IN"
    " (SELECT rowid FROM evidence WHERE build = ? ORDER BY at DESC LIMIT ?))"
)


def state_values(state: State) -> tuple[object, ...]:
    """The values of a state in the order of its columns."""
    claim = state.claim
    held = (
        (claim.agent, claim.checkout, claim.claimed_at, claim.seen_at, claim.stale_after, claim.max_claim)
        if claim
        else (None,) * 6
    )
    return (
        state.scope,
        state.status.value,
        state.number,
        *held,
        claim.process if claim else None,
        claim.attempts if claim else None,
        state.check,
        state.broken_since,
        state.last_check,
        state.updated_at,
        state.reason,
        "\n".join(state.failures),
        state.head,
        state.opened_after,
        state.passed_after,
        state.superseded_agent,
        state.superseded_number,
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()


def state_of(row: tuple[Any, ...]) -> State:
    """The state that a row of `SELECT_STATES` holds."""
    scope, status, number, agent, checkout, claimed_at, seen_at, stale_after, max_claim, process, attempts = row[
        :11
    ]
    claim = None
    if agent is not None:
        claim = Claim(agent, checkout, claimed_at, seen_at, stale_after, max_claim, process, attempts)
    check, broken_since, last_check, updated_at, reason, failures, head, *rest = row[11:]
    return State(
        scope,
        Status(status),
        number,
        claim,
        check,
        broken_since,
        last_check,
        updated_at,
        reason,
        _lines(failures),
        head,
        *rest,
    )


def event_values(event: Event) -> tuple[object, ...]:
    """The values of an event in the order of its columns, without id and time: the store gives those."""
    return (
        event.kind.value,
        event.scope,
        event.before.value,
        event.after.value,
        event.number,
        event.agent,
        event.other,
        event.reason,
        "\n".join(event.failures),
        event.attempts,
        event.checkout,
        event.head,
        event.tree,
        event.branch,
        event.committing,
        event.lasted,
        event.fixed_at,
    )


def event_of(row: tuple[Any, ...]) -> Event:
    """The event that a row of `SELECT_EVENTS` or `SELECT_FIXES` holds."""
    number, at, kind, scope, before, after, claim, agent, other, reason, failures, attempts, *rest = row
    checkout, head, tree, branch, committing, lasted, fixed_at = rest
    return Event(
        Outcome(kind),
        scope,
        Status(before),
        Status(after),
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
        number,
        at,
    )


def evidence_of(row: tuple[Any, ...]) -> Evidence:
    """The evidence that a row of `SELECT_EVIDENCE` holds."""
    check, tree, passed, at, agent = row
    return Evidence(check, tree, bool(passed), at, agent)
