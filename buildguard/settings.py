"""Settings: option > environment > `[tool.buildguard]` in `pyproject.toml`, or `.buildguard.toml` > default."""

import os
import re
import stat
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from buildguard.agents.identity import checked_id
from buildguard.checks.runner import Command
from buildguard.errors import SettingsError

LONGEST = 7 * 24 * 3600.0
"""The longest duration that is believed, in seconds."""
MOST_SLOTS = 1000
"""More than this is no bound for one machine."""
_LARGEST = 1 << 20
"""Bytes that a settings file may have."""
_MOST_PARTS = 100
"""Dots in a key."""
_DURATION = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h)?"
_ENGINES = r"git:[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}|postgres(ql)?://[!-~]{1,500}"
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Settings(NamedTuple):
    """What the caller asked for. Durations are seconds."""

    check: Command | None = None
    build: str = "default"
    db: Path | None = None
    engine: str = ""
    wait: float = 300.0
    stale_after: float = 900.0
    max_claim: float = 3600.0
    check_timeout: float | None = None
    fix: Command | None = None
    junit: Path | None = None
    inconclusive_exit_codes: frozenset[int] = frozenset()
    reuse: float = 120.0
    reuse_env: tuple[str, ...] = ()
    confirm: bool = False
    slots: int = 0
    on_change: Command | None = None


def load(options: Mapping[str, object], environment: Mapping[str, str], root: Path | None) -> Settings:
    """Put the settings together. `options` holds, by the setting's name, only what was given on the command
    line; `root` is the work tree whose files are read. Raises `SettingsError`."""
    found = {field: value for field, (value, _) in _chosen(options, environment, root).items()}
    if root is not None:
        # From whichever folder: two agents in one work tree must mean the same file.
        found |= {
            name: root / found[name] for name in ("junit", "db") if name in found and options.get(name) is None
        }
    if found.get("engine") and found.get("db"):
        if options.get("db") is not None:
            raise SettingsError("db and engine exclude each other: what an engine keeps is for all clones already")
        del found["db"]  # it was set before the repository had an engine
    return Settings(**found)


def in_force(
    options: Mapping[str, object], environment: Mapping[str, str], root: Path | None
) -> list[tuple[str, str, str]]:
    """Each setting with its value and where that comes from, in words. Raises `SettingsError`."""
    chosen, values = _chosen(options, environment, root), load(options, environment, root)._asdict()
    return [
        (field.replace("_", "-"), _in_words(value), chosen[field][1] if field in chosen else "default")
        for field, value in values.items()
    ]


def variable_of(name: str) -> str:
    """The variable of the environment that sets it; empty where none does."""
    return f"BUILDGUARD_{name.upper().replace('-', '_')}" if name in _IN_ENVIRONMENT else ""


def _in_words(value: object) -> str:
    if isinstance(value, frozenset | tuple) and not isinstance(value, Command):
        return " ".join(map(str, sorted(value))) or "none"
    if isinstance(value, float):
        return f"{value:g} s"
    if isinstance(value, bool):
        return str(value).lower()
    words = value.text if isinstance(value, Command) else "none" if value is None or value == "" else str(value)
    # An address may hold a password, and what we print may land anywhere.
    return re.sub(r"(://[^\s?]*\?)\S*", r"\1…", re.sub(r"(://)\S*(?=@)", r"\1…", words))


def _chosen(
    options: Mapping[str, object], environment: Mapping[str, str], root: Path | None
) -> dict[str, tuple[Any, str]]:
    """What is set, by field: the value, and the option, variable or line that sets it."""
    path, table = _from_file(root) if root else (None, {})
    found: dict[str, Any] = {}
    for name, parse in _PARSERS.items():
        field = name.replace("-", "_")
        variable = variable_of(name)
        given = next((word for word in (field, _SPELLED.get(field, "")) if options.get(word) is not None), None)
        if given is not None:
            value, where = options[given], f"--{given.replace('_', '-')}"
        elif environment.get(variable):
            value, where = environment[variable], variable
        elif path is not None and name in table:
            value, where = table[name], f"{path}: {name}"
        else:
            continue
        found[field] = parse(value, where), where
    path = _own_file(environment)
    own = _table(path, False) or {}
    if unknown := sorted(own.keys() - _OWN.keys()):
        raise SettingsError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(_OWN)}")
    for name, value in own.items():
        found[name.replace("-", "_")] = _OWN[name](value, f"{path}: {name}"), f"{path}: {name}"
    return found


def _own_file(environment: Mapping[str, str]) -> Path:
    """The user's own settings, which no repository can have."""
    # A relative path would lead into whatever repository we stand in.
    home, folder = (Path(environment.get(name, "")) for name in ("HOME", "XDG_CONFIG_HOME"))
    folder = folder if folder.is_absolute() else Path(os.sep, home if home.is_absolute() else "", ".config")
    return folder / "buildguard" / "config.toml"


def off(environment: Mapping[str, str]) -> str | None:
    """What switches buildguard off here, as it stands in the environment, or None."""
    if environment.get("BUILDGUARD") == "0":
        return "BUILDGUARD=0"
    if "buildguard" in re.split(r"[,\s]+", environment.get("SKIP", "")):
        return "SKIP=buildguard"
    return None


def duration(value: object, where: str) -> float:
    """Seconds, of `90`, `90s`, `5m` or `1h`. Raises `SettingsError`."""
    match = re.fullmatch(_DURATION, str(value), re.ASCII) if isinstance(value, str | int | float) else None
    if match is None or isinstance(value, bool):
        raise SettingsError(f"{where}: {value!r} is not a duration; write 90, 90s, 5m or 1h")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST:
        raise SettingsError(f"{where}: {value!r} is longer than 7 days")
    return seconds


def _span(value: object, where: str) -> float:
    seconds = duration(value, where)
    if seconds <= 0:
        raise SettingsError(f"{where}: {value!r} must be more than 0")
    return seconds


def _command(value: object, where: str) -> Command:
    if isinstance(value, str) and value.strip():
        return Command.from_shell(value)
    if isinstance(value, list | tuple) and value and all(isinstance(word, str) and word for word in value):
        return Command.from_words(value)
    raise SettingsError(f"{where}: {value!r} is not a command; write a line for the shell or a list of words")


def _name(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{where}: {value!r} is not a name")
    try:
        return checked_id(value, where)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _path(value: object, where: str) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise SettingsError(f"{where}: {value!r} is not a path")
    return Path(value)


def _engine(value: object, where: str) -> str:
    if where != "BUILDGUARD_ENGINE" and "://" in str(value) and _has_password(str(value)):
        raise SettingsError(f"{where}: has a password in it, for all to read; set BUILDGUARD_ENGINE instead")
    if not isinstance(value, str) or not re.fullmatch(_ENGINES, value):
        # What is no engine may be an address with a password all the same.
        shown = "that" if "@" in str(value) else repr(value)
        raise SettingsError(f"{where}: {shown} is no engine; write git:origin or postgresql://HOST/DATABASE")
    return value


def _has_password(address: str) -> bool:
    from urllib.parse import unquote  # most have no address

    return bool(re.search(r"://.*:.*@|[?&][^=]*pass", unquote(address), re.IGNORECASE))


def _codes(value: object, where: str) -> frozenset[int]:
    whole = isinstance(value, list) and all(isinstance(code, int) and not isinstance(code, bool) for code in value)
    if not whole or not isinstance(value, list) or not all(1 <= code <= 255 for code in value):
        raise SettingsError(f"{where}: {value!r} is not a list of exit codes from 1 to 255")
    return frozenset(value)


def _variables(value: object, where: str) -> tuple[str, ...]:
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word.isidentifier() for word in words):
        raise SettingsError(f"{where}: {value!r} is not a list of names of variables")
    return tuple(words)


def _truth(value: object, where: str) -> bool:
    truth = {"1": True, "true": True, "0": False, "false": False}.get(str(value).lower())
    if truth is None:
        raise SettingsError(f"{where}: {value!r} is neither true nor false")
    return truth


def _slots(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_SLOTS:
        raise SettingsError(f"{where}: {value!r} is not a number from 0 to {MOST_SLOTS}")
    return value


_PARSERS: dict[str, Callable[[object, str], object]] = {
    "check": _command,
    "build": _name,
    "db": _path,
    "engine": _engine,
    "wait": duration,
    "stale-after": _span,
    "max-claim": _span,
    "check-timeout": _span,
    "fix": _command,
    "junit": _path,
    "inconclusive-exit-codes": _codes,
    "reuse": duration,
    "reuse-env": _variables,
    "confirm": _truth,
}
_OWN: dict[str, Callable[[object, str], object]] = {"slots": _slots, "on-change": _command}
"""Each user's own: how many checks run at once, and whom to tell what happened."""
_SPELLED = {"wait": "timeout"}
"""What some commands call a setting's option."""
_IN_ENVIRONMENT = _PARSERS.keys() - {"inconclusive-exit-codes"}
_IN_FILES = _PARSERS.keys() - {"db"}


def _from_file(root: Path) -> tuple[Path | None, Mapping[str, object]]:
    """The settings file of a work tree and its table; (None, {}) where there is none."""
    own, project = root / ".buildguard.toml", root / "pyproject.toml"
    tables = [
        (path, table)
        for path, section in ((own, ""), (project, "[tool.buildguard] "))
        if (table := _table(path, bool(section))) is not None
    ]
    if len(tables) > 1:
        raise SettingsError(f"settings stand in both {own} and {project} [tool.buildguard]; keep one of them")
    for path, table in tables:
        for name in sorted(table.keys() & _OWN.keys()):
            raise SettingsError(f"{path}: {name} is each user's own: write it to ~/.config/buildguard/config.toml")
        unknown = sorted(table.keys() - _IN_FILES)
        if unknown:
            raise SettingsError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_IN_FILES))}")
        return path, table
    return None, {}


def _table(path: Path, in_project: bool) -> Mapping[str, object] | None:
    text = _text(path)
    if text is None or (in_project and "buildguard" not in text):
        # Most projects' pyproject.toml does not speak of us: a passing hook need not pay for a TOML parser.
        return None
    table: object = plain(text)
    if table is None:
        # The time that a key takes grows with the square of its parts.
        if any(line.partition("=")[0].count(".") > _MOST_PARTS for line in text.split("\n")):
            raise SettingsError(f"{path}: a key has more than {_MOST_PARTS} parts")
        import tomllib

        try:
            table = tomllib.loads(text)
        except RecursionError:
            raise SettingsError(f"{path}: is not TOML: nested too deeply") from None
        except ValueError as error:  # also of a number with thousands of digits
            raise SettingsError(f"{path}: is not TOML: {str(error)[:200]}") from error
    for key in ("tool", "buildguard") if in_project else ():
        if not isinstance(table, dict) or key not in table:
            return None
        table = table[key]
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: tool.buildguard must be a table")
    return table


def plain(text: str) -> dict[str, str] | None:
    """The table where each line of the file is empty, a comment, or `name = "text"` without an escape; None of any
    other. Most settings files are so, and to load a TOML parser would be a tenth of what a passing hook costs."""
    table: dict[str, str] = {}
    for line in text.split("\n"):
        if not (line.isascii() and line.isprintable()):
            return None
        if not line.strip() or line[0] == "#":
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        quote, inner = value[:1], value[1:-1]
        quoted = len(value) > 1 and quote in ("'", '"') and value[-1] == quote and quote not in inner
        if not quoted or "\\" in inner or name in table or not name.replace("-", "").isalnum():
            return None
        table[name] = inner
    return table


def _text(path: Path) -> str | None:
    """The whole of a settings file; None where there is none. Raises `SettingsError` for what is no file of at most
    1 MiB: a pipe would never end, and neither would a link to a device."""
    try:
        # Without a writer a pipe would keep us from even opening it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SettingsError(f"{path}: is not a regular file")
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _LARGEST:
        raise SettingsError(f"{path}: is larger than {_LARGEST >> 20} MiB")
    try:
        return content.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 (byte {error.start})") from error


_SIGNS = (
    # What `npm init` writes is no test: it always fails.
    ("package.json", r'"scripts"\s*:\s*\{[^}]*"test"\s*:\s*"(?!echo \\"Error: no test specified)[^"]', "npm test"),
    ("Cargo.toml", "", "cargo test"),
    ("go.mod", "", "go test ./..."),
    ("Makefile", r"(?m)^test\s*:(?!=)", "make test"),
    ("pytest.ini", "", "pytest -q"),
    ("pyproject.toml", "pytest", "pytest -q"),
)
"""A file, the pattern that has to be in it, and the check that it speaks for; the first row that fits counts."""


def suggested_check(top: Path) -> str | None:
    """The command that most likely checks the project in that folder; None where nothing tells. Never raises."""
    there = ((_read(top / file), sign, check) for file, sign, check in _SIGNS)
    return next((check for found, sign, check in there if found is not None and re.search(sign, found)), None)


def _read(path: Path) -> str | None:
    """What a file says; None where it cannot be read, or is a pipe or device, which may never end."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except OSError:
        return None
