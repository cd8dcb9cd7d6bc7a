"""The process table: who is above us, who still lives, who is in a session.

The only module that imports psutil, and only inside functions: importing it costs 25 ms, which a passing
hook must not pay. On Linux the start of a process comes from `/proc`, in clock ticks since boot: psutil's
`create_time` moves with the clock, and a claim must not be lost to an adjusted clock.
"""

import os
import re
import sys
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import psutil

ON_LINUX: bool = sys.platform == "linux"

START_TOLERANCE: Final = 2.0
"""How far two readings of one start may lie apart: seconds off Linux, where a clock that is set may move them (by
more than a second, and the boot is unknown); on Linux ticks, in which no process number comes again."""

# Patterns as text: a passing hook uses none of them, and compiling them took a thirtieth of what it adds.
SCRIPT_SUFFIX: Final = r"\.(?:py|pyz|js|cjs|mjs|ts|rb|pl|sh)$"

_TELLS: Final = r"([1-9][0-9]{0,8}) ([0-9]+(?:\.[0-9]+)?) (\S+)"


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


def plain_name(word: str) -> str:
    """`/usr/bin/python3.11`, `-zsh`, `npm-cli.js`, `pre_commit` and `sshd:` by their plain names."""
    name = re.sub(SCRIPT_SUFFIX, "", Path(word).name.lower()).strip("-:()").replace("_", "-")
    return re.sub(r"-?v?[0-9][0-9.]*$", "", name).removesuffix("-cli") or name


def is_git(process: Process) -> bool:
    """Whether it is git itself, and not one of git's external commands such as `git-buildguard`."""
    return process.name == "git" or (bool(process.argv) and Path(process.argv[0]).name == "git")


def ancestors() -> list[Process]:
    """Every process above us that can be seen, our parent first, pid 1 last. Never raises.

    Pid 1 is in the list: in a container it may be the calling git. A vanished ancestor ends the list.
    """
    import psutil

    found: list[Process] = []
    try:
        process: psutil.Process | None = psutil.Process(os.getppid())
        while process is not None:
            found.append(_described(process))
            process = process.parent()
    except (psutil.Error, OSError):
        pass
    return found


def name_of(pid: int) -> str:
    """The name of a process; empty where `/proc` does not tell."""
    return _read(f"/proc/{pid}/comm").rstrip("\n")


def running(pid: int) -> Process | None:
    """The process that has this number now; None when there is none to be seen."""
    import psutil

    try:
        return _described(psutil.Process(pid))
    except (psutil.Error, OSError):
        return None


def argv_of(pid: int) -> tuple[str, ...]:
    """The command line of the process that has this number now; empty when it is gone or hidden from us."""
    import psutil

    try:
        return tuple(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return ()


def token_of(pid: int) -> str | None:
    """The token of the process that has this number now; None when there is none to be seen."""
    life = _life(pid)
    return f"{pid} {life[0]:.12g} {_here()}" if life else None


def known_dead(token: str) -> bool:
    """True if the process that `token` names is certainly gone (a zombie is). False in any doubt.

    Doubt is: not a token, another boot, another pid namespace, or a process that we may not look at.
    """
    named = re.fullmatch(_TELLS, token, re.ASCII)
    if named is None or named[3] != _here():
        return False
    pid, start = int(named[1]), float(named[2])
    life = _life(pid)
    if life is None:
        return _gone(pid)
    now, zombie = life
    return zombie or abs(now - start) > START_TOLERANCE


def run_members(session: int) -> list[int]:
    """The pids of all live processes in a session, ourselves never among them."""
    import psutil

    # Kernel threads and foreign namespaces are in session 0, and so would be ours if it were unknown.
    found = [pid for pid in psutil.pids() if pid != os.getpid() and _session(pid) == session > 0]
    return [pid for pid in found if (life := _life(pid)) and not life[1]]


def sees_all() -> bool:
    """Whether all processes of this machine can be seen from here, those in containers, too: for certain only in
    the pid namespace that Linux began with, whose number is fixed (PROC_PID_INIT_INO)."""
    return f"pid:[{0xEFFFFFFC}]" in _here()


def gits_in(folders: Sequence[Path]) -> list[int]:
    """The pids of the gits that work in one of these folders, as far as can be seen; not of a calling `git
    buildguard`, nor of those that live on beside an editor and take no lock."""
    import psutil

    found, lasting = [], {"cat-file", "fsmonitor--daemon"}
    inodes = {(there.st_dev, there.st_ino) for there in (folder.stat() for folder in folders)}
    for process in psutil.process_iter():
        # What has ended meanwhile, or does not let us look, is not seen.
        with suppress(psutil.Error, OSError):
            if process.name() != "git" or process.pid == os.getppid() or lasting & {*(words := process.cmdline())}:
                continue
            environment = process.environ()
            told = ["", *words, environment.get("GIT_DIR", ""), environment.get("GIT_WORK_TREE", "")]
            # In a container the folders have other names: the links in /proc lead to them all the same.
            links = f"/proc/{process.pid}/"
            root, here = (f"{links}root", f"{links}cwd") if ON_LINUX else ("", process.cwd())
            paths = [one.rpartition("=")[2] for one in told]
            if any(_lies_in((root if path[:1] == "/" else f"{here}/") + path, inodes) for path in paths):
                found.append(process.pid)
    return found


def _lies_in(path: str, inodes: Container[tuple[int, int]]) -> bool:
    """Whether a folder is one of these, or lies at most 40 deep in one, whatever it is called."""
    with suppress(OSError):
        seen = (Path(path + "/.." * up).stat() for up in range(40))
        return any((there.st_dev, there.st_ino) in inodes for there in seen)
    return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _described(process: "psutil.Process") -> Process:
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
    terminal = int(stat[4]) != 0 if stat else process.terminal() is not None
    # psutil counts from a boot time in whole seconds.
    return Process(process.pid, process.name(), argv, terminal, process.create_time() - 1.0, token)


def _life(pid: int) -> tuple[float, bool] | None:
    """When it began (ticks since boot on Linux, else seconds since the epoch), and whether it is a zombie; None
    when it is not to be seen."""
    if ON_LINUX:
        stat = _stat(pid)
        return (float(stat[19]), stat[0] in ("Z", "X")) if stat else None
    import psutil

    try:
        process = psutil.Process(pid)
        return process.create_time(), process.status() == psutil.STATUS_ZOMBIE
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
    """Boot and namespaces, in which a pid and a start mean what they mean to us; empty if they cannot be told."""
    if not ON_LINUX:
        import psutil

        return f"{os.uname().nodename}:{psutil.boot_time():.0f}"
    boot = _read("/proc/sys/kernel/random/boot_id").strip()
    try:
        # A /proc that was mounted for another pid namespace tells of other processes by the same numbers.
        if not boot or Path("/proc/self").readlink() != Path(str(os.getpid())):
            return ""
        # A time namespace shifts the start times that are read in it; older kernels have none.
        kinds = [kind for kind in ("pid", "time") if os.path.lexists(f"/proc/self/ns/{kind}")]
        return boot + "".join(str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds)
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
