"""Where states, history and proofs are kept."""

from collections.abc import Callable, Mapping
from pathlib import Path

from buildguard.claims.store import Reach, Store
from buildguard.store.register import Register
from buildguard.store.sqlite import SqliteStore


def open_store(
    db: Path | None,
    common_dir: Path,
    repository: str = "",
    engine: str = "",
    environment: Mapping[str, str] | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Store:
    """The store of one clone: the file `db`, in which `repository` has its own part, or else the clone's own; with
    an `engine` (`git:REMOTE` or `postgresql://…`) beneath it what all clones share. Opens nothing yet."""
    near = SqliteStore(db, repository) if db else SqliteStore(common_dir / "buildguard" / "state.db")
    if not engine:
        return near
    from buildguard.store.shared import SharedStore

    return SharedStore(near, _register(engine, common_dir, environment or {}), common_dir, tell)


def reach_of(store: Store, build: str) -> Reach | None:
    """What is known of the engine of a store; None where there is none."""
    found: Reach | None = getattr(store, "reach", lambda _: None)(build)
    return found


def to_look_at(engine: str) -> str:
    """The command that shows whether an engine can be reached. It repeats no address: that may hold a password."""
    kind, _, remote = engine.partition(":")
    return f"git ls-remote {remote}" if kind == "git" else "buildguard status"


def probed(store: Store) -> str:
    """What keeps the engine of a store from electing, in one line; empty if nothing does, or there is none."""
    found: str = getattr(store, "probed", str)()
    return found


def _register(engine: str, common_dir: Path, environment: Mapping[str, str]) -> Register:
    """The engine of that setting."""
    kind, _, remote = engine.partition(":")
    if kind == "git":
        from buildguard.store.gitref import GitRef

        return GitRef(remote, common_dir, environment)
    from buildguard.store.postgres import Postgres

    return Postgres(engine)
