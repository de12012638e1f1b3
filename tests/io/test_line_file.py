"""Lines are on the disk or not in the file, whatever the disk and the process go through."""

from __future__ import annotations

from pathlib import Path

import pytest

from disk_limit import disk_limit
from napari_sam.io.line_file import BLOCK, LineFile


def test_lines_are_there_at_once_and_go_on_later(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for lines in ([b"one", b"two"], [b"three"], []):
        file = LineFile(path)
        for line in lines:
            file.append(line)
            assert path.read_bytes().endswith(line + b"\n")
        file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("whole", [b"", b"one\n", b"one\n" * BLOCK])
@pytest.mark.parametrize("torn", [b"", b"t", b"\x00" * 20, b"x" * (2 * BLOCK + 1)])
def test_a_line_that_a_kill_cut_off_is_cut_off_for_good(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    (tmp_path / "lines").write_bytes(whole + torn)
    file = LineFile(tmp_path / "lines")
    file.append(b"next")
    file.close()
    assert (tmp_path / "lines").read_bytes() == whole + b"next\n"


def test_a_line_that_the_disk_refuses_leaves_no_trace_and_can_come_again(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "lines")
    file.append(b"first")
    with disk_limit(20):
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                file.append(b"x" * 100)
        assert (tmp_path / "lines").read_bytes() == b"first\n"
        file.append(b"short")
    file.append(b"x" * 100)
    with disk_limit(20):
        file.close()
    assert (tmp_path / "lines").read_bytes() == b"first\nshort\n" + b"x" * 100 + b"\n"
