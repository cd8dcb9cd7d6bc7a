"""A commit that `buildguard cherry-pick` makes is the fix to the last byte, whatever it is made of and whatever the
settings here are; and whatever git is in the middle of."""

import sys
from pathlib import Path

import pytest
from testing.picking import fixed, slow, without_the_fix
from testing.support import Checkout


@pytest.fixture
def here(tmp_path: Path) -> Checkout:
    """A work tree without the fix."""
    return without_the_fix(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("new and [odd] näme.txt", "newer\n"),
        ("dos.txt", "one\r\ntwo\r\n"),
        ("binary", "\0\1\2" * 500 + "\n\n\n"),
        ("no-newline.txt", "the end"),
        ("deep/er/file.txt", "deep\n"),
        (":(top)magic", "magic\n"),
    ],
)
def test_whatever_its_file_is_like(here: Checkout, name: str, text: str) -> None:
    main = Checkout(here.path.parent / "repository", here.home)
    main.write(name, "")
    fixed(main, name, text)
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert (here.path / name).read_bytes() == text.encode()
    assert here.ok("status", "--porcelain") == "A  bob.txt"


KINDS = {
    "a submodule that diffs are to ignore": (
        "mkdir sub; git update-index --add --cacheinfo 160000,$(git commit-tree HEAD: -m 1),sub;"
        "git config -f .gitmodules submodule.sub.path sub; git config -f .gitmodules submodule.sub.ignore all",
        "git update-index --cacheinfo 160000,$(git commit-tree HEAD: -m 2),sub",
    ),
    "a mode that this disk does not have": (
        "git config core.fileMode false",
        "git update-index --chmod=+x odd.txt",
    ),
    "a mode": ("", "chmod +x odd.txt"),
    "a symlink": ("", "ln -sf app.txt odd.txt"),
    "a rename": ("git config diff.renames copies", "git mv odd.txt even.txt"),
    "a folder for a file": ("", "rm odd.txt; mkdir odd.txt; echo deep > odd.txt/deep"),
    "a file for a folder": ("mkdir deep; echo 1 > deep/1; echo 2 > deep/2", "rm -r deep; echo 3 > deep"),
    "a binary": ("", "head -c 5000 /dev/zero > odd.txt"),
    "line ends": ("git config core.autocrlf true", r"printf 'one\r\ntwo\r\n' > odd.txt"),
    "line ends by attribute": ("echo '*.txt eol=crlf' > .gitattributes", r"printf 'one\r\ntwo\r\n' > odd.txt"),
    "a filter": (
        "for way in clean smudge; do git config filter.turned.$way 'tr a-z n-za-m'; done;"
        "echo 'turned.txt filter=turned' > .gitattributes; echo old > turned.txt",
        "echo new > turned.txt",
    ),
    "spaces to be mended": ("git config apply.whitespace fix", r"printf 'two  \n \t tab\n\n\n' > odd.txt"),
    "spaces to be refused": ("git config apply.whitespace error", r"printf 'two  \n \t tab\n\n\n' > odd.txt"),
    "empty lines that are to be bare": (
        r"git config diff.suppressBlankEmpty true; printf 'old\n\n\n\n\nend\n' > z.txt",
        r"printf 'new\n\n\n\n\nend\n' > z.txt",
    ),
    "diffs of another shape": (
        "git config diff.noprefix true; git config diff.external false; git config diff.context 0;"
        "git config diff.odd.textconv rev; echo '*.txt diff=odd' > .gitattributes; git config color.ui always",
        "echo new > odd.txt",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_commit_is_the_fix_to_the_last_byte(tmp_path: Path, kind: str) -> None:
    here = without_the_fix(tmp_path, *KINDS[kind])
    done = here.buildguard("cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert here.ok("ls-tree", "-r", "HEAD") == here.ok("ls-tree", "-r", "main")
    assert here.ok("status", "--porcelain", "--ignore-submodules=none") == "A  bob.txt"


@pytest.mark.parametrize(("name", "value"), [("GIT_DIFF_OPTS", "--unified=0"), ("GIT_EXTERNAL_DIFF", "false")])
def test_the_environment_does_not_reshape_the_fix(here: Checkout, name: str, value: str) -> None:
    done = here.buildguard("cherry-pick", "main", agent="bob", **{name: value})
    assert done.status == 0, done
    assert "line nine" in here.ok("show", "HEAD:app.txt")


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1"])
@pytest.mark.parametrize("message", ["Mend the café\n\n#12 is no comment\n\n\n", "", "no line end"])
def test_author_and_message_are_the_originals(here: Checkout, encoding: str, message: str) -> None:
    raw = here.path.parent / "message"
    raw.write_bytes(message.encode(encoding))
    author = {"GIT_AUTHOR_NAME": "Ann Übel, Jr", "GIT_AUTHOR_EMAIL": "änn@example.org"}
    here.ok("config", "i18n.commitEncoding", "UTF-8")
    if encoding != "UTF-8":
        here.ok("config", "i18n.commitEncoding", encoding)
        here.ok("config", "i18n.logOutputEncoding", encoding)
        author = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"}
    fix = here.ok(
        *("commit-tree", "main:", "-p", "main^", "-F", str(raw)),
        GIT_AUTHOR_DATE="@86400 +0545",
        **author,
    )
    bare = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = here.buildguard("cherry-pick", fix, agent="bob", **bare)
    assert done.status == 0, done
    shown = ("show", "-s", "--encoding=UTF-8", "--date=raw", "--format=format:%an%n%ae%n%ad%n%B.")
    assert here.ok(*shown, "HEAD") == here.ok(*shown, fix)
    assert "86400 +0545" in here.ok(*shown, "HEAD")
    assert here.ok("reflog", "-1", "--format=%gs", "--encoding=UTF-8") == (
        f"buildguard cherry-pick: {message.partition(chr(10))[0]}".rstrip()
    )


def test_a_slow_filter_is_not_cut_short(here: Checkout) -> None:
    slow(here, "sleep 4; cat")
    script = (
        "import runpy; from buildguard.git import repository; repository.ANSWER_SECONDS = 3;"
        "runpy.run_module('buildguard', run_name='__main__')"
    )
    done = here.run(sys.executable, "-c", script, "cherry-pick", "main", agent="bob")
    assert done.status == 0, done
    assert here.ok("show", "--name-only", "--format=", "HEAD") == "app.txt"
    assert here.ok("status", "--porcelain") == "A  bob.txt"
