"""Where states, history and proofs are kept."""

from pathlib import Path

from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore


def open_store(db: Path | None, common_dir: Path, repository: str = "") -> Store:
    """The store of one clone: the file `db`, in which `repository` has its own part, or else the clone's own.
    Opens nothing yet."""
    return SqliteStore(db, repository) if db else SqliteStore(common_dir / "buildguard" / "state.db")
