from __future__ import annotations

import json
from pathlib import Path

import pytest

from disk_limit import disk_limit
from napari_sam.batch.journal import JobJournal, StorageError, digest_of, job_folder, read_parameters
from napari_sam.errors import InputError

PARAMETERS = {"weights": "abc", "settings": {"tile": 64, "channels": ["DAPI"]}}


def test_lines_come_back_and_other_inputs_are_not_done(tmp_path: Path) -> None:
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        journal.write("tiles 0-1", "in", digest="x", problems=[])
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        assert journal.done("tiles 0-1", "in") == {"unit": "tiles 0-1", "inputs": "in", "digest": "x", "problems": []}
        assert journal.done("tiles 0-1", "other") is None
        assert journal.done("tiles 0-2", "in") is None
        assert journal.made("tiles 0-1") == "in"
        assert journal.made("tiles 0-2") == ""
    assert read_parameters(tmp_path / "a.job") == PARAMETERS
    assert read_parameters(tmp_path / "b.job") is None


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_a_kill_cut_off_is_forgotten_for_good(tmp_path: Path, cut: int) -> None:
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        journal.write("one", "1")
        journal.write("two", "2")
    file = tmp_path / "a.job" / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        assert journal.done("one", "1")
        assert journal.done("two", "2") is None
        journal.write("three", "3")
    lines = [json.loads(line)["unit"] for line in file.read_text().splitlines()]
    assert lines == ["one", "three"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        journal.write("one", "1")
    file = tmp_path / "a.job" / "journal.jsonl"
    file.write_bytes(b"\x00\x00\n" + file.read_bytes())
    with (
        pytest.raises(InputError, match=r"Line 1 of the journal .* is damaged"),
        JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False),
    ):
        pass
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=True) as journal:
        assert journal.done("one", "1") is None


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (PARAMETERS | {"weights": "xyz"}, r'weights "abc", not "xyz"'),
        (PARAMETERS | {"settings": {"tile": 128, "channels": ["DAPI"]}}, r"settings.tile 64, not 128"),
        (PARAMETERS | {"settings": {"tile": 64, "channels": []}}, r'settings.channels \["DAPI"\], not \[\]'),
        (PARAMETERS | {"new": 1}, r"new null, not 1"),
    ],
)
def test_other_parameters_are_named(tmp_path: Path, other: dict[str, object], what: str) -> None:
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False):
        pass
    with pytest.raises(InputError, match=what), JobJournal.opened(tmp_path / "a.job", other, restart=False):
        pass
    with JobJournal.opened(tmp_path / "a.job", other, restart=True):
        pass
    assert read_parameters(tmp_path / "a.job") == other


def test_a_job_is_locked_while_it_is_open(tmp_path: Path) -> None:
    with (
        JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False),
        pytest.raises(InputError, match="Another process works on the job"),
        JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=True),
    ):
        pass
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False):
        pass


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="Cannot write the job folder"),
        JobJournal.opened(tmp_path / "file" / "a.job", PARAMETERS, restart=False),
    ):
        pass


def test_the_folder_lies_beside_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_folder("/data/in.zarr", None, "cells") == Path("/data/in.zarr-cells.job")
    assert job_folder("/data/in.zarr", "/other/out.zarr/", "nuclei") == Path("/other/out.zarr-nuclei.job")
    monkeypatch.chdir(tmp_path)
    assert job_folder("s3://bucket/in.zarr", None, "cells") == tmp_path / "bucket/in.zarr-cells.job"
    assert job_folder("s3://b/in.zarr", "s3://b/../o:1/A/1/0/", "x") == tmp_path / "b/o_1/A/1/0-x.job"
    assert job_folder("/data/in.zarr", "out.zarr", "cells") == tmp_path / "out.zarr-cells.job"


def test_a_full_disk_is_one_sentence_however_the_journal_is_left(tmp_path: Path) -> None:
    def fill_up() -> None:
        with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
            journal.write("one", "1")
            with disk_limit(200):
                journal.write("two", "2", digest="0" * 300)

    with pytest.raises(StorageError, match=r"Cannot write the journal .* \(File too large\): free some space"):
        fill_up()
    with JobJournal.opened(tmp_path / "a.job", PARAMETERS, restart=False) as journal:
        assert journal.done("one", "1")
        assert journal.done("two", "2") is None


def test_digests_tell_where_texts_end() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert digest_of("ab", "c") == digest_of("ab", "c")
