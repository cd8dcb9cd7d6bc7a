"""What lies in git's own folder is read with a bound, and through no link."""

import os
from pathlib import Path

import pytest

from buildguard.git import private


def test_what_was_written_is_read_with_its_inode(tmp_path: Path) -> None:
    path = private.folder(tmp_path) / "note"
    private.write(path, b"name\n{inode}\n")
    inode = path.stat().st_ino
    assert private.read(path) == (f"name\n{inode}\n", inode)
    assert list(path.parent.iterdir()) == [path]


def test_as_much_as_is_allowed_is_read_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_bytes(b"\xff234")
    assert private.read(path, most=4)[0] == "\udcff234"
    with pytest.raises(OSError, match="no small file"):
        private.read(path, most=3)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_bytes(b"a\0b")
    with pytest.raises(OSError, match="no text"):
        private.read(path)


def test_no_pipe_and_no_folder_is_read_and_no_link_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "folder", "link"):
        with pytest.raises(OSError, match=r"no small file|symbolic links"):
            private.read(tmp_path / name)


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o644), (0o2775, 0o664)])
def test_a_file_is_as_open_as_its_folder_and_a_folder_as_the_one_around_it(
    tmp_path: Path, folder: int, file: int
) -> None:
    tmp_path.chmod(folder)
    made = private.folder(tmp_path, "checkouts")
    assert made == tmp_path / "buildguard" / "checkouts"
    assert [path.stat().st_mode & 0o7777 for path in (made, made.parent)] == [folder, folder]
    private.write(made / "note", b"x")
    assert (made / "note").stat().st_mode & 0o777 == file
    assert private.folder(tmp_path, "checkouts") == made


def test_a_folder_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "buildguard").symlink_to("elsewhere")
    with pytest.raises(NotADirectoryError, match="not a folder"):
        private.folder(tmp_path)


def test_what_cannot_be_put_there_leaves_nothing(tmp_path: Path) -> None:
    there = private.folder(tmp_path, "note") / "kept"
    there.touch()
    with pytest.raises(OSError, match="note"):
        private.write(there.parent, b"x")
    assert list(there.parent.parent.iterdir()) == [there.parent]
    with pytest.raises(FileNotFoundError):
        private.write(tmp_path / "gone" / "note", b"x")
