"""Where states, history and proofs are kept."""

import stat
from pathlib import Path

from buildguard.claims.store import Store
from buildguard.store.sqlite import SqliteStore


def open_store(db: Path | None, common_dir: Path, repository: str = "") -> Store:
    """The store of one clone: the file `db`, in which `repository` has its own part, or else the clone's own.
    Opens nothing yet."""
    if db is None:
        return SqliteStore(common_dir / "buildguard" / "state.db", shared_mode=_shared_mode(common_dir))
    return SqliteStore(db, repository)


def _shared_mode(common_dir: Path) -> int | None:
    """The mode of a new file where git keeps its own writable for a group (`core.sharedRepository`): it then makes
    its folder so. None where it does not."""
    try:
        mode = common_dir.stat().st_mode
    except OSError:
        return None
    return 0o660 | (mode & stat.S_IROTH) if mode & stat.S_IWGRP else None
