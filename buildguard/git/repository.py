"""What git says, as one dataclass, in as few calls of git as can be.

`GIT_OPTIONAL_LOCKS=0` on every call: a status that refreshes the index would take the lock that the fixer needs.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

ANSWER_SECONDS = 10.0
"""How long git may take to answer before coordination counts as unavailable."""
_PATCH = (
    *("-p", "--binary", "--full-index", "--no-renames", "--ignore-submodules=none", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
)
"""The options of a diff that `git apply` takes, said even where they are git's own: a setting may say otherwise."""
APPLY = ("apply", "--whitespace=nowarn", "--no-ignore-whitespace")
"""`git apply` that takes and makes each byte as it is in the patch, whatever the user's settings are."""
CLEANNESS_SECONDS = 0.005
"""How long a passed check waits for git to say whether the work tree was clean."""
PATIENCE_SECONDS = 1.0
"""The same for a failed one."""


class GitFault(Exception):
    """Git did not answer as hoped. The message is one clear line; `next_command` mends it, if anything does."""

    def __init__(self, message: str, next_command: str | None = None) -> None:
        super().__init__(message)
        self.next_command = next_command


class Repository(NamedTuple):
    """The repository and work tree that a command runs in, and where its HEAD was. `head` is empty before the
    first commit, `branch` (a full ref name) when HEAD is detached, `top` is None in a bare repository."""

    common_dir: Path
    git_dir: Path
    top: Path | None
    head: str
    branch: str
    local_variables: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def work_tree(self) -> str:
        """The name of the work tree's git dir, unique in its repository: `.git` is the main one's."""
        return ".git" if self.git_dir == self.common_dir else self.git_dir.name

    def git(self, *words: str, stdin: str | None = None, **variables: str) -> str:
        """What git prints, without the last newline. Raises `GitFault`."""
        return answer(words, {**self.environment, **variables}, self.top or self.git_dir, stdin)

    def verbatim(self, *words: str, **variables: str) -> str:
        """What git prints, to its last byte. Raises `GitFault`."""
        return _said(words, {**self.environment, **variables}, self.top or self.git_dir, None, ANSWER_SECONDS)

    def write(self, *words: str, stdin: str | None = None, **variables: str) -> str:
        """The same as `git`, for what writes index, work tree or objects: it takes its time. Killed, it would leave
        an index lock that nobody holds and a work tree half changed; a filter may fetch files from far away."""
        return _said(words, {**self.environment, **variables}, self.top or self.git_dir, stdin, None).rstrip("\n")

    def patch(self, before: str, after: str, *paths: str) -> str:
        """What makes the tree of one commit that of another, as `git apply` takes it, whatever the user's settings
        for diffs are; only of these paths, if any are named. Raises `GitFault`."""
        named = [utf8(path) for path in paths]
        return self.verbatim(
            "--literal-pathspecs", "diff-tree", *_PATCH, before, after, "--", *named, GIT_DIFF_OPTS=""
        )

    def differing(self, before: str, after: str) -> list[str]:
        """The paths in which two trees differ. Raises `GitFault`."""
        listing = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none")
        return [path for path in self.git(*listing, before, after).split("\0") if path]

    def has(self, patch: str, **variables: str) -> bool:
        """Whether the index has what a patch makes: it can be taken out again. True of an empty patch."""
        if not patch:
            return True
        try:
            self.git(*APPLY, "--cached", "--check", "--reverse", "-", stdin=patch, **variables)
        except GitFault:
            return False
        return True

    def where(self) -> tuple[str, str]:
        """HEAD and branch as they are now."""
        return _head(self.environment, self.top or self.git_dir)

    def tree_of_head(self) -> str:
        """HEAD's tree, or an empty string before the first commit."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{self.head}^{{tree}}") if self.head else ""
        except GitFault:
            return ""


def repository(cwd: Path, environment: Mapping[str, str]) -> Repository:
    """Ask git where we are, in one call. Raises `GitFault` where there is no repository that git will use."""
    words = ["rev-parse", "--local-env-vars", "--path-format=absolute", "--git-common-dir", "--git-dir"]
    found = _call(
        [*words, "--show-toplevel", "HEAD", "--symbolic-full-name", "HEAD"], environment, cwd, None, ANSWER_SECONDS
    )
    lines = found.stdout.splitlines()
    paths = [number for number, line in enumerate(lines) if line.startswith("/")]
    if len(paths) < 2:
        raise _no_repository(found.stderr)
    variables = tuple(lines[: paths[0]])
    top = Path(lines[paths[2]]) if len(paths) > 2 else None
    head, branch = _named(lines[paths[-1] + 1 :]) if found.returncode == 0 else _head(environment, cwd)
    return Repository(Path(lines[paths[0]]), Path(lines[paths[1]]), top, head, branch, variables, environment)


def born(repository: Repository) -> float:
    """Since when there has been this linked work tree (seconds since the epoch); 0 for the main one. Git writes
    this file when it adds a work tree, and never again."""
    try:
        return (repository.git_dir / "commondir").stat().st_mtime
    except OSError:
        return 0.0


def answer(words: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: str | None = None) -> str:
    """What one git command prints, without the last newline. Raises `GitFault` with git's own first line."""
    return _said(words, environment, cwd, stdin, ANSWER_SECONDS).rstrip("\n")


def utf8(text: str) -> str:
    """That text as an argument or a variable for git, which reads UTF-8 whatever the locale of this process is."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


@contextmanager
def unbroken() -> Iterator[None]:
    """Put INT, TERM and HUP off until the end, for us and for the git that is started meanwhile: what is between
    two writes that belong together would stay half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def commit(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdout: int | None = None,
) -> int:
    """Run `git commit` with the terminal, editor and arguments untouched; its exit status as a shell says it.
    `stdout` is the descriptor that its words go to, if they are not to go to ours. INT is git's own affair
    meanwhile; TERM and HUP to us are passed on to it."""
    handlers = {}
    try:
        process = subprocess.Popen(["git", "commit", *arguments], env=environment, cwd=cwd, stdout=stdout)
    except OSError as error:
        raise GitFault(f"git cannot be run: {error.strerror}") from error

    def pass_on(number: int, _frame: object) -> None:
        process.send_signal(number)

    try:
        for number, handler in (
            (signal.SIGINT, signal.SIG_IGN),
            (signal.SIGTERM, pass_on),
            (signal.SIGHUP, pass_on),
        ):
            handlers[number] = signal.signal(number, handler)
        status = process.wait()
    finally:
        for number, old in handlers.items():
            signal.signal(number, old)
    return status if status >= 0 else 128 - status


def _said(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdin: str | None,
    within: float | None,
) -> str:
    found = _call(words, environment, cwd, stdin, within)
    if found.returncode != 0:
        said = found.stderr.strip().splitlines() or [f"exit status {found.returncode}"]
        raise GitFault(f"git {_verb(words)}: {said[0]}")
    return found.stdout


def _verb(words: Sequence[str]) -> str:
    """Which git command that is, behind the options that are git's own."""
    return next((word for word in words if not word.startswith("-") and "=" not in word), "")


def _call(
    words: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    stdin: str | None,
    within: float | None,
) -> "subprocess.CompletedProcess[str]":
    """One git command, killed if it takes longer than `within` seconds."""
    try:
        done = subprocess.run(
            ["git", *words],
            env=_asking(environment),
            cwd=cwd,
            input=None if stdin is None else stdin.encode(errors="surrogateescape"),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=within,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitFault("git is not installed, or not on PATH") from error
    except OSError as error:
        raise GitFault(f"git cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise GitFault(f"git {_verb(words)} did not answer within {within:g} s") from error
    # Not in text mode, which takes the carriage returns out of a patch.
    out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


class Cleanness:
    """The question whether a work tree holds just what its index holds, put to git while something else runs."""

    def __init__(self, repository: Repository) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):  # without git there is no answer, and nobody is worse off
            self._process = subprocess.Popen(
                ["git", "status", "--porcelain", "--untracked-files=normal"],
                env=_asking(repository.environment),
                cwd=repository.top or repository.git_dir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def answer(self, within: float = CLEANNESS_SECONDS) -> bool:
        """Whether git has said by now that nothing is unstaged and nothing untracked. Waits for nothing more
        than `within` seconds: in a large repository there may be no answer then, and that is False."""
        if self._process is None:
            return False
        try:
            out, _ = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return False
        return self._process.returncode == 0 and all(line[1:2] == b" " for line in out.splitlines())


def _asking(environment: Mapping[str, str]) -> dict[str, str]:
    return {**environment, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _head(environment: Mapping[str, str], cwd: Path) -> tuple[str, str]:
    found = _call(["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"], environment, cwd, None, ANSWER_SECONDS)
    if found.returncode == 0:
        return _named(found.stdout.splitlines())
    unborn = _call(["symbolic-ref", "--quiet", "HEAD"], environment, cwd, None, ANSWER_SECONDS)
    return "", unborn.stdout.strip()


def _named(lines: Sequence[str]) -> tuple[str, str]:
    head, name = lines[0], lines[-1]
    return head, name if name.startswith("refs/") else ""


def _no_repository(stderr: str) -> GitFault:
    if "dubious ownership" in stderr:
        for line in stderr.splitlines():
            if "safe.directory" in line:
                return GitFault("git does not trust this repository: it belongs to another user", line.strip())
    if "not a git repository" in stderr:
        return GitFault("not a git repository (nor any of the parent directories)")
    said = stderr.strip().splitlines() or ["git said nothing"]
    return GitFault(said[0])
