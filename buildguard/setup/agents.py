"""`buildguard agents`: tells the coding agents that work in a project about buildguard, in their own files.

Every file keeps each byte that is not ours, and `uninstall` gives back the file that was there.
"""

import hashlib
import json
import re
import shutil
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

_TEXTS = (
    *("AGENTS.md", "CLAUDE.md"),
    *(".agents/skills/fix-build/SKILL.md", ".claude/skills/fix-build/SKILL.md"),
)
_BEGIN, _END = "<!-- buildguard: begin", "<!-- buildguard: end -->"
_PUT_HERE = "Put here by `buildguard agents install`"
"""Stands in each file that is all ours."""
_SUM = re.compile(r"(?<=\(sum )[0-9a-f]*(?=\))")
"""In each text that is all ours: a sum of the rest, so that an edit shows, whatever version wrote it."""
_EDITED = "it is not as buildguard wrote it"
_MOST_BYTES = 1 << 20
"""Bytes that a file may have that we change."""


class _Change(NamedTuple):
    """What becomes of one file; None where there is none. `fault` says why it is left alone."""

    path: Path
    before: str | None = None
    after: str | None = None
    fault: str = ""

    @property
    def told(self) -> str:
        """What is done, as a line; empty where nothing is."""
        if self.fault:
            return f"left alone: {self.path} {self.fault}"
        done = "wrote" if self.before is None else "removed" if self.after is None else "changed"
        return f"{done} {self.path}" if self.after != self.before else ""


def text_for_agents() -> str:
    """What agents have to know: the block for `AGENTS.md`, and the body of the skill."""
    return _text("agents.md")


def put_in(session: Session, names: Sequence[str], hooks: bool) -> Report:
    """Write the text, the skill, and with `hooks` the hook files of these agents, or of those that are found here.
    What cannot be changed safely is left alone, and said. Raises `GitFault`."""
    top = session.required_repository().top or session.cwd
    rows = _rows(session, top, names) if hooks else []
    report = _carried_out([*_texts(top, True), *(_hooks(top, row, True) for row in rows)], "installed")
    trust = [row.program for row in rows if row.name in ("codex", "gemini")]
    more = f"new hooks run only when you have trusted them: in {' and in '.join(trust)}" if trust else ""
    if hooks and not rows:
        more = f"no agent's folder is found here; name one: {', '.join(BY_NAME)}"
    return report._replace(lines=(*report.lines, more)) if more and report.outcome != "unchanged" else report


def take_out(session: Session) -> Report:
    """Take out again just what `put_in` wrote. Raises `GitFault`."""
    top = session.required_repository().top or session.cwd
    return _carried_out([*_texts(top, False), *(_hooks(top, row, False) for row in HOOK_FILES)], "uninstalled")


def listed(session: Session) -> Report:
    """Which agents are known, which are found here, and whose hooks are installed. Raises `GitFault`."""
    top = session.required_repository().top or session.cwd
    told = any(change.told for change in _texts(top, False))
    lines = [f"the text for agents is {'installed' if told else 'not installed'}"]
    for row in HOOK_FILES:
        here = "found here" if row in _rows(session, top, ()) else "not found"
        stands = "hooks installed" if _hooks(top, row, False).told else here
        lines.append(f"{row.name}: {row.program}, {stands} ({row.file})")
    return Report("listed", Exit.OK, tuple(lines))


def _text(name: str) -> str:
    return (Path(__file__).parent / "texts" / name).read_text(encoding="utf-8")


def _rows(session: Session, top: Path, names: Sequence[str]) -> list[HookFile]:
    """The agents that are named, else those that show here by their files, or that call us."""
    calls = coding_agent(session.environment)
    found = (row for row in HOOK_FILES if row.program == calls or any((top / sign).exists() for sign in row.signs))
    return [BY_NAME[name] for name in dict.fromkeys(names)] or list(found)


def _texts(top: Path, wanted: bool) -> Iterator[_Change]:
    skill = _sealed(_text("skill.md") + text_for_agents())
    agents, claude, *skills = (top / name for name in _TEXTS)
    yield _change(agents, wanted, lambda found: _block(found, wanted))
    # Many link the one to the other.
    if claude.exists() and claude.resolve() != agents.resolve():
        yield _change(claude, wanted, lambda found: _block(found, wanted))
    for path in skills if skills[0].resolve() != skills[1].resolve() else skills[:1]:
        yield _change(path, wanted, lambda found: _whole(found, skill, wanted))


def _hooks(top: Path, row: HookFile, wanted: bool) -> _Change:
    if not row.moments:
        return _change(top / row.file, wanted, lambda found: _whole(found, _sealed(_text("opencode.js")), wanted))
    hooks = {event: [row.entry(moment)] for moment, event in row.moments.items()}
    fresh = json.dumps({**row.frame, HOOKS: hooks}, indent=2) + "\n"

    def edited(found: str | None) -> str | None:
        if found in (None, fresh):
            return fresh if wanted else None
        return with_hooks(found or "", hooks) if wanted else without_hooks(found or "", hooks)

    return _change(top / row.file, wanted, edited)


def _whole(found: str | None, ours: str, wanted: bool) -> str | None:
    """What becomes of a file that is all ours, of any version, or somebody else's."""
    unedited = found is not None and _PUT_HERE in found and _is_sealed(found)
    if found is not None and not unedited and (wanted or _PUT_HERE in found):
        raise ValueError(_EDITED)
    return ours if wanted else None if unedited else found


def _block(found: str | None, wanted: bool) -> str | None:
    """What becomes of a text with our block in it, at its end at first. The blank line before that is ours, too."""
    block = _sealed(f"{_BEGIN} (sum ) -->\n{text_for_agents()}{_END}")
    if found is None:
        return f"{block}\n" if wanted else None
    there = re.search(rf"(?:\r?\n)?({_BEGIN}.*?{_END})(?:\r?\n)?", found, re.DOTALL)
    if there and not _is_sealed(there[1]):
        raise ValueError(_EDITED)
    if wanted:
        newline = "\r\n" if "\r\n" in found else "\n"
        shown = block.replace("\n", newline)
        return (
            found[: there.start(1)] + shown + found[there.end(1) :] if there else found + newline + shown + newline
        )
    kept = found[: there.start()] + found[there.end() :] if there else found
    return None if there and there.start(1) == 0 and not kept else kept


def _sealed(ours: str) -> str:
    """A text of ours with a sum of itself; the ends of its lines may change."""
    plain = _SUM.sub("", ours.replace("\r\n", "\n"), count=1)
    return _SUM.sub(hashlib.sha256(plain.encode()).hexdigest()[:16], ours, count=1)


def _is_sealed(found: str) -> bool:
    return _SUM.search(found) is not None and _sealed(found) == found


def _change(path: Path, wanted: bool, edit: Callable[[str | None], str | None]) -> _Change:
    """What is to become of that file. A link is somebody else's, whatever it leads to."""
    try:
        if any(one.is_symlink() for one in (path, *path.parents[:3])):
            return _Change(path, fault="is a link, or lies behind one" * wanted)
        before = None
        if path.exists():
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise ValueError("it is larger than 1 MiB")
            before = content.decode()
        if not wanted and not re.search("buildguard", before or ""):
            return _Change(path)
        return _Change(path, before, edit(before))
    except (ValueError, LookupError, RecursionError, OSError) as error:
        return _Change(path, fault=f"cannot be changed: {str(error)[:200] or 'it is not plain enough'}")


def _carried_out(changes: Sequence[_Change], outcome: str) -> Report:
    done = [_written(change) for change in changes if change.told]
    lines = tuple(change.told for change in done)
    left = next((change for change in done if change.fault), None)
    if left is not None:
        return Report("left", Exit.FAILED, lines, command(["ls", "-ld", str(left.path)]))
    return (
        Report(outcome, Exit.OK, lines) if done else Report("unchanged", Exit.OK, ("nothing is to be done here",))
    )


def _written(change: _Change) -> _Change:
    """The same, carried out as far as that can be done."""
    try:
        if change.after is not None:
            with draft(change.path, change.after.encode(), 0o666) as new:
                if change.before is not None:
                    shutil.copymode(change.path, new)
                new.replace(change.path)
        elif not change.fault:
            change.path.unlink()
            with suppress(OSError):  # the first folder that holds something else
                for folder in change.path.parents[:3]:
                    folder.rmdir()
    except OSError as error:
        return change._replace(fault=f"cannot be written: {error.strerror}")
    return change
