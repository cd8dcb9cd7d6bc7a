"""What GitHub Actions shows of a failing check: errors at their places, and a summary of the job."""

import os
import shlex
from pathlib import Path

import pytest
from testing.support import Checkout, Done

FAILURES = """
app.txt:7:1: E501 50% too long, and so on
not here.py:3:1: E501 no such file
FAILED sub/test_a.py::test_b - assert 1
"""


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    return path


def failing(checkout: Checkout, summary: Path | str, *options: str, folder: str = "", **more: str) -> Done:
    """What a job says whose check prints `FAILURES`, and fails."""
    checkout.write("failures", FAILURES)
    checkout.write("sub/test_a.py", "")
    checkout.write("sub/app.txt", "")
    variables = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), **more}
    here = Checkout(checkout.path / folder, checkout.home)
    command = f"cat {shlex.quote(str(checkout.path / 'failures'))}; exit 1"
    return here.buildguard("run", *options, "--", "sh", "-c", command, **variables)


def errors(done: Done) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("::")]


def test_a_failure_is_an_error_at_its_file_and_line(checkout: Checkout, summary: Path) -> None:
    done = failing(checkout, summary)
    assert done.status == 1
    assert errors(done) == [
        "::error file=app.txt,line=7::app.txt E501: N%25 too long, and so on",
        "::error file=sub/test_a.py::sub/test_a.py::test_b",
    ]


def test_in_a_folder_an_error_is_at_the_path_from_the_top(checkout: Checkout, summary: Path) -> None:
    assert errors(failing(checkout, summary, folder="sub"))[0].startswith("::error file=sub/app.txt,line=7::")


def test_with_json_the_answer_on_stdout_is_still_one_object(checkout: Checkout, summary: Path) -> None:
    done = failing(checkout, summary, "--json")
    assert (done.out.count("\n"), len(errors(done))) == (1, 2)


def test_elsewhere_nothing_is_said_to_github(checkout: Checkout, summary: Path) -> None:
    assert errors(failing(checkout, summary, GITHUB_ACTIONS="")) == []
    assert summary.read_text() == "before\n"


def test_a_path_with_what_separates_properties_is_escaped(checkout: Checkout) -> None:
    checkout.write("sub/a,b.py", "")
    done = checkout.buildguard(
        "run", "--", "sh", "-c", "echo 'sub/a,b.py:1:2: E1 no'; exit 1", GITHUB_ACTIONS="true"
    )
    assert errors(done) == ["::error file=sub/a%2Cb.py,line=1::sub/a,b.py E1: no"]


def test_the_summary_of_the_job_gets_the_answer_and_what_failed_as_code(checkout: Checkout, summary: Path) -> None:
    failing(checkout, summary)
    before, heading, empty, *lines = summary.read_text().splitlines()
    assert (before, heading, empty) == ("before", "### buildguard", "")
    assert all(line.startswith("    ") for line in lines if line)
    text = "\n".join(lines)
    assert "broken: build default, this checkout; nobody is fixing it" in text
    assert "    sub/test_a.py::test_b" in lines


def test_a_passing_check_adds_nothing(checkout: Checkout, summary: Path) -> None:
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    assert errors(checkout.buildguard("run", "--", "true", **variables)) == []
    assert summary.read_text() == "before\n"


def test_many_failures_are_counted(checkout: Checkout, summary: Path) -> None:
    checkout.write("failures", "".join(f"app.txt:1:1: E{number} no\n" for number in range(100, 170)))
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = checkout.buildguard("run", "--", "sh", "-c", "cat failures; exit 1", **variables)
    assert len(errors(done)) == 10
    assert summary.read_text().endswith("    app.txt E149: no\n    and 20 more\n\n")


@pytest.mark.parametrize("kind", ["link", "pipe", "missing", "none", "folder", "full"])
def test_a_summary_that_is_no_plain_file_with_room_is_left_alone(
    checkout: Checkout, tmp_path: Path, kind: str
) -> None:
    path, target = tmp_path / "summary", tmp_path / "target"
    target.write_text("kept\n")
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "full":
        path.write_bytes(b"x" * (1 << 20))
    done = failing(checkout, "" if kind == "none" else path)
    assert (done.status, len(errors(done))) == (1, 2)
    assert target.read_text() == "kept\n"
    assert path.exists() == (kind not in ("missing", "none"))
    assert kind != "full" or path.stat().st_size == 1 << 20
