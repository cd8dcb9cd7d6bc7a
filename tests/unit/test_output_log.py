"""The log of a shared run: what is read is what was written, with the middle left out where it is long."""

import os
from pathlib import Path

import pytest

from buildguard.runs.output_log import KEPT, Beginning, Reader, Writer, create, read_beginning, write_beginning


@pytest.fixture
def log(tmp_path: Path) -> int:
    return create(str(tmp_path / "log"))


def everything(reader: Reader) -> bytes:
    pieces = []
    while piece := reader.read():
        pieces.append(piece)
    return b"".join(pieces)


def test_a_reader_sees_what_was_written_and_then_what_comes(log: int) -> None:
    writer, reader = Writer(log), Reader(log)
    writer.write(b"one\n")
    assert everything(reader) == b"one\n"
    assert reader.read() == b""
    writer.write(b"two\n")
    assert everything(reader) == b"two\n"


def test_up_to_both_parts_nothing_is_left_out(log: int) -> None:
    printed = os.urandom(1 << 16) * (2 * KEPT >> 16)
    Writer(log).write(printed)
    assert everything(Reader(log)) == printed


def test_of_more_the_first_and_the_last_part_are_kept_and_the_rest_is_counted(log: int, tmp_path: Path) -> None:
    writer = Writer(log)
    first, last = b"a" * KEPT, b"z" * KEPT
    for piece in (first, b"m" * (3 * KEPT + 17), last):
        writer.write(piece)
    told = everything(Reader(log))
    left_out = len(told) - told.count(b"a") - told.count(b"z")
    assert told.startswith(first)
    assert b"\nbuildguard: " in told
    assert b"bytes of the output are left out here\n" in told
    assert told.endswith(b"z" * (KEPT // 2))
    assert left_out < 100
    assert (tmp_path / "log").stat().st_size <= 2 * KEPT + 4096


def test_who_keeps_up_misses_nothing(log: int) -> None:
    writer, reader = Writer(log), Reader(log)
    for number in range(5):
        piece = bytes([number]) * KEPT
        writer.write(piece)
        assert everything(reader) == piece


def test_the_beginning_is_read_as_it_was_written(log: int) -> None:
    beginning = Beginning(4242, 1234.5, 17, "ann on two lines\nof ünicode")
    write_beginning(log, beginning)
    Writer(log).write(b"output")
    assert read_beginning(log) == beginning


def test_a_long_name_leaves_the_output_as_it_is(log: int) -> None:
    write_beginning(log, Beginning(1, 1.0, 1, "\N{PILE OF POO}" * 200))
    Writer(log).write(b"output")
    assert everything(Reader(log)) == b"output"


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 2000, b"\0" * 2000])
def test_a_beginning_that_is_garbage_is_told(log: int, garbage: bytes) -> None:
    os.pwrite(log, garbage, 0)
    with pytest.raises(ValueError, match=r".*"):
        read_beginning(log)
