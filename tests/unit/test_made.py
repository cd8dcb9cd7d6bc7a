"""What the documents show of the program is current: the screens and the man page."""

import shutil
import subprocess
from pathlib import Path

import pytest
from testing.made import MAN_PAGE, SCREENS, man_page, screens, texts
from testing.support import Checkout

AGAIN = "make it anew: cd tests && python -m testing.made"


@pytest.mark.parametrize("name", ["demo.svg", "watch.svg"])
def test_the_screens_are_current(name: str) -> None:
    made, kept = texts(screens()[name]), texts((SCREENS / name).read_text(encoding="utf-8"))
    assert len(kept) > 10
    assert kept == made, AGAIN


def test_the_screens_load_nothing_from_elsewhere() -> None:
    for file in SCREENS.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "url(http" not in text
        assert "<script" not in text


def test_the_man_page_is_current() -> None:
    assert MAN_PAGE.read_text(encoding="utf-8") == man_page(), AGAIN


def test_git_buildguard_help_shows_the_man_page(checkout: Checkout, tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("there is no man here: nobody has read the man page")
    folder = tmp_path / "man" / "man1"
    folder.mkdir(parents=True)
    shutil.copy(MAN_PAGE, folder)
    manual = {"MANPATH": str(tmp_path / "man"), "GIT_PAGER": "cat", "PAGER": "cat", "MANWIDTH": "100"}
    done = checkout.git("buildguard", "--help", **manual)
    if "minimized" in done.both:
        pytest.skip("man shows nothing on this machine: nobody has read the man page")
    assert done.status == 0, done
    for words in ("COMMITTING", "--gave-up", "75", "somebody else is fixing"):
        assert words in done.out.replace("‐", "-")


def test_the_man_page_is_well_formed() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff here: the man page's form was not looked at")
    argv = (groff, "-man", "-Tutf8", "-ww", str(MAN_PAGE))
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
