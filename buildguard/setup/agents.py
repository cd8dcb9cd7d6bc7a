"""`buildguard agents`: tells the coding agents that work in a project about buildguard, in their own files.

Every file keeps each byte that is not ours, and `uninstall` gives back the file that was there.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildguard.agents.hookfiles import BY_NAME, HOOK_FILES, HookFile
from buildguard.agents.identity import coding_agent
from buildguard.errors import Exit
from buildguard.session import Session
from buildguard.setup.hookfile import draft
from buildguard.setup.jsonedit import HOOKS, with_hooks, without_hooks
from buildguard.text import command
from buildguard.ui.reports import Report

_ENTRIES = Path(__file__).parent / "entries"
_BEGIN, _END = "<!-- buildguard: begin -->\n", "<!-- buildguard: end -->\n"
_SKILLS = (".agents/skills/fix-build/SKILL.md", ".claude/skills/fix-build/SKILL.md")
_MOST_BYTES = 1 << 20
"""Bytes that a file may have that we change."""


class _Change(NamedTuple):
    """What becomes of one file; `after` is None where it is taken away, `fault` says why it is left alone."""

    path: Path
    before: str | None
    after: str | None
    fault: str = ""

    @property
    def line(self) -> str:
        if self.fault:
            return f"left alone: {self.path} {self.fault}"
        done = "wrote" if self.before is None else "removed" if self.after is None else "changed"
        return f"{done} {self.path}"


def text_for_agents() -> str:
    """What agents have to know: the block for `AGENTS.md`, and the body of the skill."""
    return (_ENTRIES / "agents.md").read_text(encoding="utf-8")


def put_in(session: Session, names: Sequence[str], hooks: bool) -> Report:
    """Write the text, the skill, and with `hooks` the hook files of these agents, or of those that are found here.
    What cannot be changed safely is left alone, and said. Raises `GitFault`."""
    top = _top(session)
    rows = _rows(session, top, names) if hooks else []
    changes = [*_texts(top, True), *(_hooks(top / row.file, row, True) for row in rows)]
    report = _carried_out(changes, "installed", "everything is in place already")
    if hooks and not rows:
        line = f"no agent's folder is found here; name one: {', '.join(BY_NAME)}"
        return report._replace(lines=(*report.lines, line))
    trust = [row.program for row in rows if row.name in ("codex", "gemini")]
    line = f"new hooks run only when you have trusted them: in {' and in '.join(trust)}"
    return report._replace(lines=(*report.lines, line)) if trust and report.outcome == "installed" else report


def take_out(session: Session) -> Report:
    """Take out again just what `put_in` wrote. Raises `GitFault`."""
    top = _top(session)
    changes = [*_texts(top, False), *(_hooks(top / row.file, row, False) for row in HOOK_FILES)]
    return _carried_out(changes, "uninstalled", "nothing of buildguard is in the agents' files here")


def listed(session: Session) -> Report:
    """Which agents are known, which are found here, and whose hooks are installed. Raises `GitFault`."""
    top = _top(session)
    found = _rows(session, top, ())
    lines = []
    for row in HOOK_FILES:
        change = _hooks(top / row.file, row, False)
        stands = (
            "hooks installed" if change.after != change.before else "found here" if row in found else "not found"
        )
        lines.append(f"{row.name}: {row.program}, {stands} ({row.file})")
    told = any(change.after != change.before for change in _texts(top, False))
    return Report("listed", Exit.OK, (f"the text for agents is {'' if told else 'not '}installed", *lines))


def _top(session: Session) -> Path:
    top = session.required_repository().top
    assert top is not None
    return top


def _rows(session: Session, top: Path, names: Sequence[str]) -> list[HookFile]:
    """The agents that are named, else those that show here by their files, or that call us."""
    if names:
        return [BY_NAME[name] for name in dict.fromkeys(names)]
    calls = coding_agent(session.environment)
    return [row for row in HOOK_FILES if row.program == calls or any((top / sign).exists() for sign in row.signs)]


def _texts(top: Path, wanted: bool) -> Iterator[_Change]:
    for name in ("AGENTS.md", "CLAUDE.md"):
        path = top / name
        if name == "AGENTS.md" or (path.exists() and path.resolve() != (top / "AGENTS.md").resolve()):
            yield _change(path, lambda found: _with_block(found) if wanted else _without_block(found))
    skill = (_ENTRIES / "skill.md").read_text(encoding="utf-8") + text_for_agents()
    for name in _SKILLS:
        yield _change(top / name, lambda found: _whole(found, skill, wanted))


def _hooks(path: Path, row: HookFile, wanted: bool) -> _Change:
    if not row.moments:
        plugin = (_ENTRIES / "opencode.js").read_text(encoding="utf-8")
        return _change(path, lambda found: _whole(found, plugin, wanted))
    hooks = {event: [row.entry(moment)] for moment, event in row.moments.items()}
    fresh = json.dumps({**row.frame, HOOKS: hooks}, indent=2) + "\n"

    def edited(found: str | None) -> str | None:
        if found is None or found == fresh:
            return _whole(found, fresh, wanted)
        return with_hooks(found, hooks) if wanted else without_hooks(found, hooks)

    return _change(path, edited)


def _whole(found: str | None, ours: str, wanted: bool) -> str | None:
    """What becomes of a file that is all ours, or somebody else's."""
    if wanted and found not in (None, ours):
        raise ValueError("is there already, and not as buildguard wrote it")
    return ours if wanted else None if found == ours else found


def _with_block(found: str | None) -> str:
    block = _BEGIN + text_for_agents() + _END
    if found in (None, block):
        return block
    kept = _without_block(found) or ""
    # The blank line before it is ours, too.
    return kept + ("\n" + block).replace("\n", "\r\n" if "\r\n" in kept else "\n")


def _without_block(found: str | None) -> str | None:
    if found in (None, _BEGIN + text_for_agents() + _END):
        return None
    return re.sub(rf"(?:\r?\n)?{_BEGIN.strip()}.*?{_END.strip()}(?:\r?\n)?", "", found or "", flags=re.DOTALL)


def _change(path: Path, edit: Callable[[str | None], str | None]) -> _Change:
    """What is to become of that file. A link is somebody else's, whatever it leads to."""
    try:
        if any(one.is_symlink() for one in (path, *path.parents[:3])):
            return _Change(path, "", "", "is a link, or lies behind one")
        before = None
        if path.exists():
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            before = content.decode()
            if len(content) > _MOST_BYTES:
                raise ValueError("is larger than 1 MiB")
        return _Change(path, before, edit(before))
    except (ValueError, LookupError, RecursionError) as error:
        return _Change(path, "", "", f"cannot be changed: {str(error) or 'it is not plain enough'}")


def _carried_out(changes: Sequence[_Change], outcome: str, nothing: str) -> Report:
    done = [change for change in changes if change.fault or change.after != change.before]
    for change in done:
        if change.after is None:
            change.path.unlink()
            with suppress(OSError):
                for folder in change.path.parents[:3]:
                    folder.rmdir()
        elif not change.fault:
            with draft(change.path, change.after.encode(), 0o666) as new:
                if change.before is not None:
                    new.chmod(change.path.stat().st_mode & 0o7777)
                new.replace(change.path)
    lines = tuple(change.line for change in done) or (nothing,)
    left = next((change for change in done if change.fault), None)
    if left is not None:
        return Report("left", Exit.FAILED, lines, command(["ls", "-ld", str(left.path)]))
    return Report(outcome if done else "unchanged", Exit.OK, lines)
