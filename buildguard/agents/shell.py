"""What a command line of a shell certainly runs: its simple commands, with the words that can be told beforehand.

Read by tree-sitter's grammar of bash. What cannot be read, or only may run (a function, a document), is left out.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

UNKNOWN: Final = "\0"
"""Stands in a word for what only the shell will know: a variable, a substitution, a pattern."""
_LONGEST: Final = 1 << 16
"""Bytes of a command line that are read; a longer one is a file that is being written."""
_DEEPEST: Final = 3
"""How many `sh -c` may lie within each other."""
_IN_A_CHILD: Final = frozenset(("subshell", "command_substitution", "process_substitution"))
"""What runs in a shell of its own, as each part of a pipeline does: a `cd` there moves nobody else."""
_ENDS_WITH: Final = frozenset(("redirected_statement", "list", "negated_command", "pipeline"))
"""What a redirection of its last command is written behind."""
_STARTERS: Final = frozenset(
    ("builtin", "command", "env", "exec", "nice", "nohup", "setsid", "stdbuf", "sudo", "time", "timeout")
)
_TO_THE_TOP: Final = r'"?\$\(git rev-parse --show-toplevel\)"?'
_TAKES_A_LINE: Final = frozenset(("sh", "bash", "dash", "zsh", "ksh"))


class Word(NamedTuple):
    """A word as the program gets it, with `UNKNOWN` in it where that cannot be told, as it was written, and the
    bytes of the command line that it is (-1 in a line within that line)."""

    value: str
    source: str
    start: int = -1
    end: int = -1


class Call(NamedTuple):
    """One simple command: its words, the variables set for it alone, and the folder that a `cd` before it chose
    (relative to the shell's, empty where it chose none)."""

    words: tuple[Word, ...]
    variables: Mapping[str, str]
    folder: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The words as the program gets them."""
        return tuple(word.value for word in self.words)


def calls(line: str) -> list[Call]:
    """The simple commands of a command line, in their order; none of one that cannot be read for certain."""
    reader = _Reader()
    reader.read(line)
    return reader.found


class _Reader:
    def __init__(self) -> None:
        self.found: list[Call] = []
        self._folder = ""
        self._depth = 0

    def read(self, line: str) -> None:
        text = line.encode("utf-8", "surrogatepass")
        if len(text) > _LONGEST or self._depth > _DEEPEST:
            return
        root = Parser(Language(tree_sitter_bash.language())).parse(text).root_node
        if not root.has_error:
            self._depth += 1
            self._walk(root)
            self._depth -= 1

    def _walk(self, node: Node) -> None:
        if node.type in ("function_definition", "heredoc_body"):
            return
        folder = self._folder
        for child in node.children:
            self._walk(child)
            if node.type == "pipeline":
                self._folder = folder
        if node.type in _IN_A_CHILD:
            self._folder = folder
        if node.type == "command":
            words = [Word(_value(word), _text(word), word.start_byte, word.end_byte) for word in _words_of(node)]
            self._call(words if self._depth == 1 else [Word(word.value, word.source) for word in words])

    def _call(self, words: list[Word]) -> None:
        variables = _variables(words)
        while words and _name(words) in _STARTERS:
            _unwrap(words)
            variables |= _variables(words)
        if not words:
            return
        name, options = _name(words), [word.value for word in words[1:]]
        # The grammar loses a `-` in front of a document, whatever the program reads by it.
        lost = [Word("-", "-")] if options[-1:] in (["-F"], ["--file"]) else []
        self.found.append(
            Call((words[0]._replace(value=name, source=name), *words[1:], *lost), variables, self._folder)
        )
        folder = self._folder
        if name == "cd" and re.fullmatch(_TO_THE_TOP, words[-1].source):
            return  # somewhere else in the same repository
        if name in ("cd", "pushd", "popd"):
            given = next((option for option in options if not option.startswith("-")), UNKNOWN)
            unknown = name != "cd" or UNKNOWN in folder + given or "-" in options
            self._folder = UNKNOWN if unknown else posixpath.join(folder, given)
        elif inner := _inner(name, options):
            self.read(inner)
            self._folder = self._folder if name == "eval" else folder


def _words_of(command: Node) -> Iterator[Node]:
    """The words of a command, its variables first. The grammar takes words behind a redirection for the file's."""
    for child in command.children:
        if child.type == "file_redirect":
            yield from child.children_by_field_name("destination")[1:]
        elif not child.type.endswith("redirect"):
            yield child
    inner, outer = command, command.parent
    while outer is not None and outer.type in _ENDS_WITH and inner in (outer.children[0], outer.children[-1]):
        if outer.type == "redirected_statement":
            for redirect in outer.children_by_field_name("redirect"):
                yield from redirect.children_by_field_name("argument")
                yield from redirect.children_by_field_name("destination")[1:]
        elif inner != outer.children[-1]:
            return
        inner, outer = outer, outer.parent


def _value(node: Node) -> str:
    text = _text(node)
    match node.type:
        case "word" | "number":
            text = re.sub(r"^~|[*?\[]", UNKNOWN, text)
            return re.sub(r"\\(.)", r"\1", text.replace("\\\n", ""), flags=re.DOTALL)
        case "raw_string":
            return text[1:-1]
        case "string":
            return re.sub(r'\\(["\\$`])', r"\1", _together(node, 1).replace("\\\n", ""))
        case "command_name" | "concatenation" | "variable_assignment":
            return _together(node, 0)
        case "variable_name" | "string_content" | "=":
            return text
        case "command_substitution":
            return _document(text)
    return UNKNOWN


def _document(substitution: str) -> str:
    """What `$(cat <<'EOF' ...)` stands for, the usual way to give a message of several lines."""
    found = re.fullmatch(r"\$\(cat <<(['\"]?)(\w+)\1\n(.*)^\2\n?\s*\)", substitution, re.DOTALL | re.MULTILINE)
    if found is None or re.search(rf"\\|^{found[2]}$" + "|[$`]" * (not found[1]), found[3], re.MULTILINE):
        return UNKNOWN
    return found[3].rstrip("\n")


def _together(node: Node, quotes: int) -> str:
    """The value of what is put together, with what lies between its parts: the grammar has no node for blanks."""
    whole, at, found = node.text or b"", quotes, ""
    for child in node.children[quotes : len(node.children) - quotes]:
        start, end = child.start_byte - node.start_byte, child.end_byte - node.start_byte
        found += whole[at:start].decode("utf-8", "replace") + _value(child)
        at = end
    return found + whole[at : len(whole) - quotes].decode("utf-8", "replace")


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _name(words: Sequence[Word]) -> str:
    return words[0].value.rpartition("/")[2]


def _variables(words: list[Word]) -> dict[str, str]:
    """Take the variables off the front."""
    found = {}
    while words and (one := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", words[0].value, re.DOTALL)):
        found[one[1]] = one[2]
        del words[0]
    return found


def _unwrap(words: list[Word]) -> None:
    """Take off a program that only starts another one, with its options and times."""
    del words[0]
    while words and re.match(r"-|[\d.]+[smhd]?$", words[0].value):
        if words.pop(0).value.startswith(("-C", "--chdir", "-D")):
            words.clear()  # it runs in some other folder


def _inner(name: str, options: Sequence[str]) -> str:
    """The command line that a shell is given to run, if all of it can be told."""
    line = " ".join(options) if name == "eval" else ""
    given = [at for at, option in enumerate(options[:-1], 1) if re.fullmatch(r"-[a-z]*c[a-z]*", option)]
    if name in _TAKES_A_LINE and given:
        line = options[given[0]]
    return "" if UNKNOWN in line else line
