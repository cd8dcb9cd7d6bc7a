"""The process table: who is above us, who still lives, who is in a session.

The only module that imports psutil, and only inside functions: importing it costs 25 ms, which a passing hook must
not pay. Starts come from `/proc`, since psutil's move with the clock. Off Linux nobody is ever known to be dead.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import psutil

# Patterns as text: a passing hook uses none of them, and compiling them took a thirtieth of what it adds.
SCRIPT_SUFFIX: Final = r"\.(?:py|pyz|js|cjs|mjs|ts|rb|pl|sh)$"

ON_LINUX: bool = sys.platform == "linux"

_TELLS: Final = r"([1-9][0-9]{0,8}) ([0-9]+) (\S+)"


class Process(NamedTuple):
    """One process as it was seen. `argv` is empty where the system does not show it to us."""

    pid: int
    name: str
    argv: tuple[str, ...]
    terminal: bool
    """Whether it has a controlling terminal."""
    began: float
    """When it began, in seconds since the epoch: a second too early rather than too late."""
    token: str
    """Opaque; names this process and no other for ever: pid, start time, and where these two hold."""

    @property
    def start(self) -> str:
        """When it began, as a word: with the pid it tells two processes of one boot apart."""
        return self.token.split(" ")[1]

    @property
    def words(self) -> tuple[str, ...]:
        """Its command line, never empty: of a process that wrote a title over it, the words of the title."""
        words = list(self.argv)
        while words and not words[-1]:
            words.pop()
        # A path may hold blanks; a title such as `npm run commit` begins with no path.
        if len(words) == 1 and "/" not in words[0].partition(" ")[0]:
            words = words[0].split()
        return tuple(words) or (self.name,)


class CallingGit(NamedTuple):
    """The git above us. Ask it in the process that found it: in a forked child the parent is another."""

    pid: int
    token: str
    """Empty where git is our parent: then `getppid` tells of its end, without a race and for free."""

    def lives(self) -> bool:
        """Whether it still runs (a zombie does not); True where the system does not let us see."""
        if not self.token:
            return os.getppid() == self.pid
        return not known_dead(self.token)

    @property
    def argv(self) -> tuple[str, ...]:
        """Its command line, read anew each time; empty when it is gone or hidden from us."""
        import psutil

        try:
            argv = tuple(psutil.Process(self.pid).cmdline())
        except (psutil.Error, OSError):
            return ()
        # Asked after reading: a process that inherited the number would lend git its command line.
        return argv if self.lives() else ()


def calling_git() -> CallingGit | None:
    """The nearest git above us, or None. Costs one read where git is our parent and `/proc` tells names."""
    parent = os.getppid()
    if _read(f"/proc/{parent}/comm").strip() == "git":
        return CallingGit(parent, "")
    for process in ancestors():
        if is_git(process):
            return CallingGit(process.pid, "" if process.pid == parent else process.token)
    return None


def plain_name(word: str) -> str:
    """`/usr/bin/python3.11`, `-zsh`, `npm-cli.js`, `pre_commit` and `sshd:` by their plain names."""
    name = re.sub(SCRIPT_SUFFIX, "", Path(word).name.lower()).strip("-:()").replace("_", "-")
    return re.sub(r"-?v?[0-9][0-9.]*$", "", name).removesuffix("-cli") or name


def is_git(process: Process) -> bool:
    """Whether it is git itself, and not one of git's external commands such as `git-buildguard`."""
    return process.name == "git" or (bool(process.argv) and Path(process.argv[0]).name == "git")


def ancestors() -> list[Process]:
    """Every process above us that can be seen, our parent first, pid 1 last (in a container it may be the calling
    git). A vanished ancestor ends the list. Never raises."""
    import psutil

    found: list[Process] = []
    with suppress(psutil.Error, OSError):
        process: psutil.Process | None = psutil.Process(os.getppid())
        while process is not None:
            found.append(_described(process))
            process = process.parent()
    return found


def token_of(pid: int) -> str | None:
    """The token of the process that has this number now; None when there is none to be seen."""
    life = _life(pid)
    return f"{pid} {life[0]} {_here()}" if life else None


def known_dead(token: str) -> bool:
    """True if the process that `token` names is certainly gone (a zombie is). False in any doubt: no token, another
    boot or pid namespace, a process that we may not look at."""
    named = re.fullmatch(_TELLS, token, re.ASCII)
    if named is None or named[3] != _here():
        return False
    life = _life(int(named[1]))
    return _gone(int(named[1])) if life is None else life != (int(named[2]), False)


def run_members(session: int) -> list[int]:
    """The pids of all live processes in a session, ourselves never among them."""
    import psutil

    found = []
    for pid in psutil.pids():
        with suppress(OSError):
            # Kernel threads and foreign namespaces are in session 0, and so would be ours if it were unknown.
            if os.getsid(pid) == session > 0 and pid != os.getpid() and (life := _life(pid)) and not life[1]:
                found.append(pid)
    return found


def _described(process: psutil.Process) -> Process:
    """What we keep of a process; raises psutil's errors when it is gone."""
    import psutil

    try:
        argv = tuple(process.cmdline())
    except psutil.AccessDenied:
        argv = ()
    token = token_of(process.pid)
    if token is None:
        raise psutil.NoSuchProcess(process.pid)
    # psutil looks the terminal up under /dev, where a container does not have its caller's.
    stat = _stat(process.pid)
    terminal = stat[4] != "0" if stat else process.terminal() is not None
    # psutil counts from a boot time in whole seconds.
    return Process(process.pid, process.name(), argv, terminal, process.create_time() - 1.0, token)


def _life(pid: int) -> tuple[int, bool] | None:
    """When it began (ticks since boot; off Linux seconds), and whether it is a zombie; None if not to be seen."""
    if stat := _stat(pid):
        return int(stat[19]), stat[0] in ("Z", "X")
    if ON_LINUX:
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        return int(process.create_time()), process.status() == psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return None


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/<pid>/stat` from the third (state) on; empty off Linux or when gone."""
    # The second field is the name, in brackets, and may itself hold blanks and brackets.
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _gone(pid: int) -> bool:
    # Signal 0 asks the kernel: /proc may be mounted so that it hides other users' processes.
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def _here() -> str:
    """Boot and pid namespace, in which a pid and a start mean what they mean to us; empty if not to be told."""
    boot = _read("/proc/sys/kernel/random/boot_id").strip()
    try:
        # A /proc that was mounted for another pid namespace tells of other processes by the same numbers.
        same = Path("/proc/self").readlink() == Path(str(os.getpid()))
        return f"{boot}{Path('/proc/self/ns/pid').readlink()}" if boot and same else ""
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
