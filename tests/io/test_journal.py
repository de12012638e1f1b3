"""The journal survives a crash and says where it is damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from disk_limit import disk_limit
from napari_sam.errors import InputError
from napari_sam.io.journal import Journal, digest_array, pack_array, read_journal, unpack_array

START = {"event": "session", "version": 1}


def test_events_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "new" / "j.jsonl")
    events = [START, {"event": "predict", "id": 1, "text": "ä"}, {"event": "undo"}]
    for event in events:
        journal.write(event)
    assert read_journal(journal.path) == events  # before it is closed
    journal.close()


def test_nothing_written_is_lost_by_a_kill(tmp_path):
    code = (
        "from napari_sam.io.journal import Journal\n"
        f"j = Journal({str(tmp_path / 'j.jsonl')!r})\n"
        "j.write({'event': 'session', 'version': 1})\n"
        "for i in range(10**9):\n"
        "    j.write({'event': 'predict', 'id': i})\n"
        "    print(i, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(5)]
        os.kill(process.pid, signal.SIGKILL)
    ids = [event["id"] for event in read_journal(tmp_path / "j.jsonl")[1:]]
    assert ids[:5] == said


def test_a_full_disk_is_one_sentence_and_the_journal_goes_on_later(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.write(START)
    with disk_limit(100):
        with pytest.raises(InputError, match=r"Cannot write the journal .* \(File too large\): free some space\."):
            journal.write({"event": "predict", "points": "0" * 200})
        assert read_journal(journal.path) == [START]
    journal.write({"event": "undo"})
    with disk_limit(10):
        journal.close()
    assert read_journal(journal.path) == [START, {"event": "undo"}]


def test_a_torn_last_line_is_left_out_and_a_damaged_one_named(tmp_path):
    file = tmp_path / "j.jsonl"
    file.write_text(json.dumps(START) + '\n{"event": "undo"}\n{"event": "re')
    assert [event["event"] for event in read_journal(file)] == ["session", "undo"]
    file.write_text(json.dumps(START) + '\n{"event": "un\n{"event": "redo"}\n')
    with pytest.raises(InputError, match="Line 2"):
        read_journal(file)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "j.jsonl"
    for text in ("", "hello\n", '{"event": "session", "version": 99}\n', '{"event": "undo"}\n'):
        file.write_text(text)
        with pytest.raises(InputError):
            read_journal(file)
    with pytest.raises(InputError, match="gone"):
        read_journal(tmp_path / "gone.jsonl")
    file.write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        Journal(file / "inside.jsonl")


@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32, np.uint16])
def test_arrays_survive_packing(dtype):
    array = (np.random.default_rng(0).random((7, 13)) * 3).astype(dtype)
    again = unpack_array(json.loads(json.dumps(pack_array(array))))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype
    assert digest_array(again) == digest_array(array)
    assert digest_array(array) != digest_array(array.T)


def test_damaged_and_dangerous_arrays_are_refused():
    packed = pack_array(np.ones((3, 3), np.int32))
    for change in ({"data": "!!"}, {"shape": [9, 9]}, {"dtype": "O"}, {"data": packed["data"][:-8]}):
        with pytest.raises(InputError, match="damaged"):
            unpack_array({**packed, **change})
