"""What makes two runs one: the same check, on the same files, with the same surroundings."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from buildguard.checks.runner import Order
from buildguard.session import Session

_NAMES: Final = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG")
_PREFIXES: Final = ("PYTHON", "NODE_", "LC_")


def key_of(session: Session, order: Order, tree: str) -> str:
    """Two runs of one user with this key are one run; it tells nothing of what is in the environment."""
    settings = session.settings
    seen = surroundings(order.environment, settings.reuse_env)
    named = (*_machine(), session.checkout, settings.build, str(settings.db), str(order.cwd), tree)
    bounds = (str(order.timeout), str(sorted(order.inconclusive)))
    return digest(
        (
            *named,
            *bounds,
            order.command.text,
            *order.command.argv,
            "",
            *(f"{name}={seen[name]}" for name in sorted(seen)),
        )
    )


def surroundings(environment: Mapping[str, str], more: tuple[str, ...] = ()) -> dict[str, str]:
    """The part of the environment that a check may depend on. In hooks alone git puts its programs in front."""
    found = {
        name: value
        for name, value in environment.items()
        if name in _NAMES or name in more or name.startswith(_PREFIXES)
    }
    programs = environment.get("GIT_EXEC_PATH")
    folders = found.get("PATH", "").split(os.pathsep)
    return {**found, "PATH": os.pathsep.join(folder for folder in folders if folder != programs)}


def _machine() -> list[str]:
    """The host, and the container: a repository may lie in several, with other programs in each."""
    found = [os.uname().nodename]
    with suppress(OSError):
        found += [str(os.stat(f"/proc/self/ns/{kind}").st_ino) for kind in ("mnt", "pid")]  # noqa: PTH116
    return found


def digest(parts: tuple[str, ...]) -> str:
    """The same for the same parts only."""
    try:
        # Not from `hashlib`: a passing hook would load OpenSSL for it.
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
