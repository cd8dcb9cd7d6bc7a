"""A register in refs on a git remote: whoever has a clone has it, without a server, an account or a set-up.

Each version is a commit without parents on the empty tree, its document in its message: one new object a version,
no blob, nothing for CI to run. What is loaded lies in a folder of our own: the objects, refs and settings of the
user's repository stay as they are.
"""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from buildguard.errors import GitFault
from buildguard.git import private
from buildguard.git.process import Done, call, utf8
from buildguard.store import codec
from buildguard.store.register import Denied, Kept, Lost, Unreachable

NAMESPACE = "refs/buildguard/1"
"""The major number is that of the document: old and new never fight over one."""
GIT_LOOK_SECONDS, GIT_PUSH_SECONDS = 6.0, 15.0
"""How long the remote may take to answer; a forge's own hooks may take most of the latter."""
_REFUSED = re.compile(
    r"\berror: 40[13]\b|denied|permission|not allowed|not permitted|read[ -]only|authori[sz]|protected", re.I
)
"""How a server, or the proxy of a sandbox, says no where git itself only knows that the line has broken."""
_ADDRESSES = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[/@:]\S+|\b(host|hostname|connect to( host)?)[: ]+\S+")
"""Addresses, paths and hosts in what git says: their names say nothing of why."""
LOADS = 8
"""How often a document is asked for that others replace between its name and itself."""
_LOCKED = re.compile(r"\block|failed to update ref|stale info|incorrect old value|already exists")
"""How git says that another push was at the same ref."""
REFUSALS, PAUSE = 4, 0.3
"""How often a push is tried while others lock the ref. Between two tries lie at most so many seconds."""
_QUIET = (
    *("-c", "core.hooksPath=/dev/null", "-c", "push.followTags=false", "-c", "push.recurseSubmodules=no"),
    *("-c", "push.gpgSign=false", "-c", "push.negotiate=false", "-c", "push.pushOption=", "-c", "gc.auto=0"),
    # For a git that outlives us: we were killed, and its line is dead.
    *("-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={GIT_PUSH_SECONDS:.0f}"),
    *("-c", "credential.interactive=false", "-c", "fetch.writeCommitGraph=false"),
    *("-c", "fetch.recurseSubmodules=no", "-c", "maintenance.auto=false", "-c", "submodule.recurse=false"),
)
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=")
_PUSH = ("push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
_NOISE = ("warning:", "Warning:", "hint:", "To ", "*")
_BY = "buildguard <buildguard@localhost> {now:.0f} +0000"


class GitRef:
    """A `Register` in refs of the remote of that name. `common_dir` is git's folder of this clone."""

    poll = 2.0

    def __init__(self, remote: str, common_dir: Path, environment: Mapping[str, str]) -> None:
        self.where = f"{NAMESPACE} on {remote}"
        self._remote = remote
        self._common_dir = common_dir
        # As for git, a relative address begins at the top of the work tree.
        self._top = common_dir.parent if common_dir.name == ".git" else common_dir
        self._objects = common_dir / "buildguard" / "engine" / "objects"
        self._environment = environment
        self._until = 0.0

    def load(self, key: str, known: Kept = Kept()) -> Kept:  # noqa: B008
        """The document as it is now: one request if it has not changed, else two."""
        self._until = time.monotonic() + GIT_LOOK_SECONDS
        return self._looked(f"{NAMESPACE}/{key}", known)

    def swap(self, key: str, expected: Kept, data: str, about: str) -> Kept:
        """Put `data` in the place of the version that is `expected`, in one push."""
        self._until = time.monotonic() + GIT_PUSH_SECONDS
        ref, token = f"{NAMESPACE}/{key}", self._made(data, about)
        lease, sent = f"--force-with-lease={ref}:{expected.token}", False
        for attempt in range(REFUSALS):
            time.sleep(PAUSE * os.urandom(1)[0] / 255 if attempt else 0)
            try:
                done = self._git(*_PUSH, lease, "--", self._remote, f"{token}:{ref}")
                if done.returncode == 0:
                    return Kept(token, data)
                refused = next((line for line in done.stdout.split("\n") if line[:1] == "!"), "")
                if not refused and not refuses(done.stderr):
                    raise Unreachable(_words(done))
                if not attempt and "(stale info)" in refused:
                    raise Lost
                sent = True
                stands = self._looked(ref, expected)
            except Unreachable as error:
                # So says only the first request of a push over HTTP, which writes nothing.
                raise Unreachable(str(error), sent=sent or "unable to access" not in str(error)) from None
            if stands.token == token:
                return stands
            if stands.token != expected.token:
                raise Lost
            if not _LOCKED.search(refused):
                break
        said = (line[7:].strip() for line in done.stderr.split("\n") if line.startswith("remote:"))
        reason = refused.rpartition("\t")[2].partition("] ")[2].strip("()")
        raise Denied(": ".join([reason, *filter(None, said)]) if refused else _words(done))

    def changed(self, key: str, known: Kept, timeout: float) -> bool:
        """A remote wakes nobody."""
        return False

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _looked(self, ref: str, known: Kept) -> Kept:
        for _ in range(LOADS):
            found = self._git("ls-remote", "--refs", "--", self._remote, ref)
            if found.returncode != 0:
                raise Unreachable(_words(found))
            # Git lists each ref that ends so.
            lines = found.stdout.split("\n")
            token = next((line.removesuffix(f"\t{ref}") for line in lines if line.endswith(f"\t{ref}")), "")
            if token == known.token:
                return known
            if not token:
                return Kept()
            if not (size := self._size(token)):
                self._emptied()
                # Somebody may have put a commit with files there: a server with filters leaves them out, else the
                # time bounds them. Not `--filter` nor `--depth`: git would write that into the user's repository.
                partial = f"remote.{self._remote}.partialclonefilter=tree:0"
                promisor = f"remote.{self._remote}.promisor=true"
                fetched = self._git("-c", promisor, "-c", partial, *_FETCH, "--", self._remote, ref)
                size = self._size(token)
            if size > codec.LARGEST:
                raise Denied(f"what is there is too long: {size} bytes")
            said = self._git("cat-file", "commit", token)
            if said.returncode == 0:
                return Kept(token, said.stdout.rstrip("\n").rpartition("\n")[2])
            if size:
                raise Denied(f"{ref} is no commit")
        # Each time it was replaced between the two requests.
        raise Unreachable(f"{ref} cannot be read: {_words(fetched)}")

    def _made(self, data: str, about: str) -> str:
        """The name of a new commit with that document."""
        by = _BY.format(now=time.time())
        self._emptied()
        tree = self._git("hash-object", "-t", "tree", "-w", "--stdin").stdout.strip()
        # The nonce: two writers that write the same at the same second made two versions.
        message = f"buildguard: {about} [skip ci]\n\n{os.urandom(8).hex()}\n{data}\n"
        text = f"tree {tree}\nauthor {by}\ncommitter {by}\n\n{message}"
        done = self._git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
        if done.returncode != 0:
            raise Denied(f"this clone cannot keep what is to be pushed: {_words(done)}")
        return done.stdout.strip()

    def _emptied(self) -> None:
        """Each version is a file. Whoever asks is alone in a clone, and what is read is kept elsewhere."""
        import shutil  # What a passing hook does not need.

        shutil.rmtree(self._objects, ignore_errors=True)

    def _size(self, token: str) -> int:
        """How long an object is; 0 if it is not here."""
        said = self._git("cat-file", "-s", token).stdout.strip()
        return int(said) if said.isdigit() else 0

    def _git(self, *words: str, stdin: str = "") -> Done:
        within = round(max(0.1, self._until - time.monotonic()), 1)
        settings = ("-c", f"remote.{self._remote}.mirror=false", "-c", f"remote.{self._remote}.prune=false")
        try:
            private.folder(self._common_dir, "engine", "objects")
            return call([*_QUIET, *settings, *words], self._own(), self._top, stdin, within, alone=True)
        except (GitFault, OSError) as fault:
            raise Unreachable(str(fault)) from None

    def _own(self) -> dict[str, str]:
        """The environment in which git keeps what it loads in our folder, and asks nobody at the terminal for a
        password. A program that the user has set for that (`GIT_ASKPASS`) is run: it may know it without asking."""
        real = self._environment.get("GIT_OBJECT_DIRECTORY") or str(self._common_dir / "objects")
        return {
            **self._environment,
            "GIT_DIR": utf8(str(self._common_dir)),
            **private.alternates(self._environment, real),
            "GIT_OBJECT_DIRECTORY": utf8(str(self._objects)),
            "GIT_TERMINAL_PROMPT": "0",
            "GCM_INTERACTIVE": "never",
        }


def refuses(said: str) -> bool:
    """Whether that is a refusal, and not a line that has broken."""
    return _REFUSED.search(_ADDRESSES.sub("", said)) is not None


def _words(done: Done) -> str:
    """What git said of it, in one line, without a password in an address."""
    said = [line for line in done.stderr.split("\n") if line.strip() and not line.startswith(_NOISE)]
    words = said[0].strip() if said else f"exit status {done.returncode}"
    scheme, mark, rest = words.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else words
