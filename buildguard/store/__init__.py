"""Where states, history and proofs are kept."""

from pathlib import Path

from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore


def open_store(db: Path | None, common_dir: Path, repository: str = "", shared_mode: int | None = None) -> Store:
    """The store of one clone: the file `db`, in which `repository` has its own part, or else the clone's own.
    `shared_mode` is the mode of a new file where `core.sharedRepository` asks for one. Opens nothing yet."""
    if db is None:
        return SqliteStore(common_dir / "buildguard" / "state.db", shared_mode=shared_mode)
    return SqliteStore(db, repository, shared_mode=shared_mode)
