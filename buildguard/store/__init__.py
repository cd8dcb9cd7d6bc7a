"""Where states, history and proofs are kept."""

from collections.abc import Mapping
from pathlib import Path

from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore


def open_store(
    db: Path | None,
    common_dir: Path,
    repository: str = "",
    engine: str = "",
    environment: Mapping[str, str] | None = None,
) -> Store:
    """The store of one clone: the file `db`, in which `repository` has its own part, or else the clone's own; with
    an `engine` (`git:REMOTE`) beneath it what all clones share. Opens nothing yet."""
    near = SqliteStore(db, repository) if db else SqliteStore(common_dir / "buildguard" / "state.db")
    if not engine:
        return near
    from buildguard.store.gitref import GitRef
    from buildguard.store.shared import SharedStore

    return SharedStore(near, GitRef(engine.partition(":")[2], common_dir, environment or {}), common_dir)
