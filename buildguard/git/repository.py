"""What git says of a repository, in as few calls of git as can be."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from buildguard.errors import Distrusted, GitFault
from buildguard.git.process import ANSWER_SECONDS, call, said, utf8
from buildguard.text import command

MOST_COMMITS: Final = 20
"""How many commits of one fix are named, the newest of them."""
EMPTY_TREES: Final = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without files, by the repository's object format."""
_PATCH = (
    *("-p", "--binary", "--full-index", "--no-renames", "--ignore-submodules=none", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
)
"""Explicit even where they are git's defaults: user settings may change those, and `git apply` takes only these."""
APPLY: Final = ("apply", "--whitespace=nowarn", "--no-ignore-whitespace")
"""`git apply` that takes and makes each byte as it is in the patch, whatever the user's settings are."""
_PLACES = ("--path-format=absolute", "--git-common-dir", "--git-dir", "--show-toplevel")
_HEAD = ("HEAD", "HEAD^{tree}", "--symbolic-full-name", "HEAD")


class Repository(NamedTuple):
    """Where a command runs, and where HEAD was. `head` is empty before the first commit, `branch` (a full ref name)
    when detached, `top` None in a bare repository, `tree` (HEAD's) empty where git could not say."""

    common_dir: Path
    git_dir: Path
    top: Path | None
    head: str
    branch: str
    local_variables: tuple[str, ...]
    environment: Mapping[str, str]
    tree: str = ""

    @property
    def has_files(self) -> bool:
        """True if HEAD holds files."""
        return bool(self.head) and self.tree not in EMPTY_TREES.values()

    def verbatim(
        self, *words: str, stdin: str | None = None, within: float | None = ANSWER_SECONDS, **variables: str
    ) -> str:
        """What git prints, to its last byte. Raises `GitFault`, also if that takes longer than `within` seconds."""
        return said(words, {**self.environment, **variables}, self.top or self.git_dir, stdin, within)

    def git(self, *words: str, stdin: str | None = None, **variables: str) -> str:
        """What git prints, without the last newline. Raises `GitFault`."""
        return self.verbatim(*words, stdin=stdin, within=ANSWER_SECONDS, **variables).rstrip("\n")

    def write(self, *words: str, stdin: str | None = None, **variables: str) -> str:
        """The same, for what writes index, work tree or objects, and so takes its time: killed, it would leave an
        index lock that nobody holds and a work tree half changed."""
        return self.verbatim(*words, stdin=stdin, within=None, **variables).rstrip("\n")

    def patch(self, before: str, after: str, *paths: str) -> str:
        """What makes one tree another, as `git apply` takes it, whatever the user's settings for diffs are; only of
        these paths, if any are named. Raises `GitFault`."""
        asked = ("--literal-pathspecs", "diff-tree", *_PATCH, "--end-of-options", before, after, "--")
        return self.verbatim(*asked, *map(utf8, paths), GIT_DIFF_OPTS="")

    def differing(self, before: str, after: str) -> list[str]:
        """The paths in which two trees differ. Raises `GitFault`."""
        listing = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none")
        return [path for path in self.git(*listing, "--end-of-options", before, after).split("\0") if path]

    def agrees(self, *words: str, stdin: str | None = None, **variables: str) -> bool:
        """True if git answers with status 0."""
        try:
            self.git(*words, stdin=stdin, **variables)
        except GitFault:
            return False
        return True

    def applies(self, patch: str, *options: str, **variables: str) -> bool:
        """True if `git apply` with these options would take a patch, or if that is empty."""
        return not patch or self.agrees(*APPLY, "--check", *options, "-", stdin=patch, **variables)

    def knows(self, commit: str) -> bool:
        """True if that commit is in this clone."""
        return self.agrees("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")

    def descends(self, head: str, ancestor: str) -> bool:
        """True if `head` is that commit or has it in its history; False where a shallow clone cannot tell."""
        return self.agrees("merge-base", "--is-ancestor", "--end-of-options", ancestor, head)

    def upstream_has(self, commit: str) -> bool:
        """True if the upstream had the commit when it was last fetched or pushed."""
        return self.descends("@{upstream}", commit)

    def remote(self) -> str:
        """The remote that this branch is fetched from, or git's usual one."""
        try:
            name = self.git("config", "--get", f"branch.{self.branch.removeprefix('refs/heads/')}.remote")
        except GitFault:
            name = ""
        return name if name not in ("", ".") else "origin"

    def commits_touching(self, since: str, until: str, paths: Sequence[str]) -> list[str]:
        """The newest `MOST_COMMITS` commits after `since` (empty: all) up to `until` that touch one of these paths,
        oldest first and without merges. None where git cannot tell."""
        asked = ("rev-list", "--topo-order", "--reverse", "--no-merges", f"--max-count={MOST_COMMITS}")
        between = [f"{since}..{until}" if since else until, "--", *map(utf8, paths)]
        try:
            return self.git("--literal-pathspecs", *asked, "--end-of-options", *between).split() if until else []
        except GitFault:
            return []

    def where(self) -> tuple[str, str, str]:
        """HEAD, its branch and its tree as they are now. Raises `GitFault`."""
        return _head(self.environment, self.top or self.git_dir)

    def up_to_date(self) -> "Repository":
        """The same with HEAD as it is now. Raises `GitFault`."""
        head, branch, tree = self.where()
        return self._replace(head=head, branch=branch, tree=tree)


def find_repository(cwd: Path, environment: Mapping[str, str]) -> Repository:
    """Ask git where we are, in one call. Raises `GitFault` where there is no repository that git will use."""
    found = call(["rev-parse", "--local-env-vars", *_PLACES, *_HEAD], environment, cwd)
    lines = found.stdout.split("\n")[:-1]
    first = next((number for number, line in enumerate(lines) if line.startswith("/")), len(lines))
    variables, told = tuple(lines[:first]), lines[first:]
    # A bare repository has no top, and git stops at what it cannot say.
    paths = [line for line in told if line.startswith("/")]
    if not paths:
        raise _no_repository(found.stderr, cwd)
    one_a_line = told[: len(paths)] == paths and len(paths) in (2, 3) and len(told) <= len(paths) + 3
    if not one_a_line:
        paths = _one_by_one(environment, cwd)
    top = Path(paths[2]) if len(paths) > 2 else None
    head, branch, tree = _named(told[3:]) if found.returncode == 0 and one_a_line else _head(environment, cwd)
    return Repository(Path(paths[0]), Path(paths[1]), top, head, branch, variables, environment, tree)


def _one_by_one(environment: Mapping[str, str], cwd: Path) -> list[str]:
    """Where we are, if a path has a line break in it. Raises `GitFault`."""
    option, *places = _PLACES
    found = [call(["rev-parse", option, place], environment, cwd) for place in places]
    paths = [one.stdout.removesuffix("\n") for one in found if one.returncode == 0]
    if len(paths) < 2:
        raise _no_repository(found[0].stderr, cwd)
    return paths


def _head(environment: Mapping[str, str], cwd: Path) -> tuple[str, str, str]:
    """HEAD, its branch and its tree. Raises `GitFault` if git cannot be run."""
    found = call(["rev-parse", *_HEAD], environment, cwd)
    if found.returncode == 0:
        return _named(found.stdout.split("\n")[:-1])
    branch = call(["symbolic-ref", "--quiet", "HEAD"], environment, cwd).stdout.rstrip("\n")
    first = found.stdout.partition("\n")[0]
    if first != "HEAD":
        return first, branch, ""  # the commit is not here: a damaged clone
    kind = call(["rev-parse", "--show-object-format"], environment, cwd).stdout.rstrip("\n")
    return "", branch, EMPTY_TREES.get(kind, "")


def _named(lines: Sequence[str]) -> tuple[str, str, str]:
    head, tree, name = lines[0], lines[1], lines[-1]
    return head, name if name.startswith("refs/") else "", tree


def _no_repository(stderr: str, cwd: Path) -> GitFault:
    if "dubious ownership" in stderr:
        # Not git's own advice: an agent that follows each `next:` line would trust whom it was lured to.
        why = "git does not trust this repository: it belongs to another user (git help config: safe.directory)"
        return Distrusted(why, command(["ls", "-ld", str(cwd)]))
    if "not a git repository" in stderr:
        return GitFault("not a git repository (nor any of the parent directories)")
    return GitFault(stderr.strip().split("\n")[0] or "git said nothing")
