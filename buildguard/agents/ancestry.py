"""Which of the processes above a hook can stand for an agent: one that lives as long as the agent does. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from buildguard.agents.processes import SCRIPT_SUFFIX, Process, plain_name


def _named(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SHELLS: Final = _named("sh bash rbash dash ash zsh ksh mksh yash fish csh tcsh nu xonsh elvish pwsh")

# By these names alone they are known wherever they are installed, also as the script of an interpreter.
_TOOLS: Final = _named(
    "buildguard pre-commit pre-merge-commit prepare-commit-msg commit-msg post-commit pre-push pre-rebase "
    "prek lefthook husky lint-staged overcommit simple-git-hooks commitizen git-cz npm npx yarn pnpm pnpx corepack "
    "bun bunx deno turbo lerna concurrently uv uvx poetry pdm hatch pipenv tox nox invoke rake bundle bundler"
)

# Words that also name somebody's script, `task.py` or `watch.js`: believed only of an installed command. The last
# lines belong to the machine or to one connection: two agents may share them, or one command may be all of it.
_WRAPPERS: Final = _named(
    "git hk make gmake ninja cmake meson cargo rustup go bazel just task mise direnv asdf env timeout nice ionice "
    "nohup setsid stdbuf time chronic parallel xargs find flock watch watchexec entr script unbuffer expect strace "
    "caffeinate busybox sudo su doas runuser setpriv chroot unshare nsenter bwrap firejail sandbox-exec "
    "apply-seccomp codex-linux-sandbox "
    "init systemd launchd tini dumb-init docker-init catatonit s6-svscan runit conmon containerd login getty "
    "agetty sshd sshd-session dropbear mosh-server tmux screen zellij cron crond anacron atd supervisord"
)

_INTERPRETERS: Final = _named("python pypy node nodejs ruby perl")
_VALUE_FOLLOWS: Final = _named("-W -X -r --require --import --loader --conditions")
_SHELL_VALUE_FOLLOWS: Final = _named("-o +o -O +O -C --rcfile --init-file --init-command --config")
_PACKAGE: Final = r"node_modules/((?:@[^/]+/)?[^/]+)/"


def agent_among(ancestors: Sequence[Process]) -> Process | None:
    """The nearest of `ancestors` (parent first) that lives as long as an agent does; None if none does. Passed over
    are the tables' programs, and shells that run a script or have no terminal."""
    return next((process for process in ancestors if _stands_for_an_agent(process)), None)


def is_typed_into(process: Process) -> bool:
    """True for a shell with a terminal that waits for somebody to type."""
    return _is_shell(process) and process.terminal and _interactive(_command(process)[1:])


def names(process: Process) -> list[str]:
    """The words that name its program: its own name, the command or script that it runs, and that one's package."""
    command = _command(process)[:1]
    return [process.name.partition(" ")[0], *command, *re.findall(_PACKAGE, "".join(command))]


def _stands_for_an_agent(process: Process) -> bool:
    if process.pid <= 2 or any(_passed_over(word) for word in names(process)):
        return False
    return is_typed_into(process) or not _is_shell(process)


def _is_shell(process: Process) -> bool:
    return any(plain_name(word) in _SHELLS for word in names(process))


def _command(process: Process) -> list[str]:
    """What it runs, with its arguments: of an interpreter the script or module, nothing for code on its input."""
    words = list(process.words)
    return _interpreted(words) if plain_name(words[0]) in _INTERPRETERS else words


def _passed_over(word: str) -> bool:
    name = plain_name(word)
    if name in _TOOLS or re.search(SCRIPT_SUFFIX, word):
        return name in _TOOLS
    return name in _WRAPPERS or name.startswith(("git-", "containerd-shim"))


def _interpreted(words: Sequence[str]) -> list[str]:
    """What an interpreter runs, its script or module first; empty for code from its options or its input."""
    python = plain_name(words[0]) in ("python", "pypy")
    rest = iter(words[1:])
    for word in rest:
        if python and re.fullmatch("-[A-Za-z]{0,4}m", word):
            module, *arguments = *rest, ""
            return [module.partition(".")[0] + ".py", *arguments]
        if re.fullmatch("-[A-Za-z]{0,3}[ce]|--eval|--print|-p", word):
            return []
        if word in _VALUE_FOLLOWS:
            next(rest, None)
        elif not word.startswith("-"):
            return [word, *rest]
    return []


def _interactive(arguments: Sequence[str]) -> bool:
    """True if a shell started with these waits for somebody to type: no command, no script, no input."""
    rest = iter(arguments)
    for word in rest:
        if word in _SHELL_VALUE_FOLLOWS:
            next(rest, None)
        elif not word.startswith(("-", "+")) or re.match("-[A-Za-z]*[cs]|--command", word):
            return False
    return True
