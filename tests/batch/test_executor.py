from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import cloudpickle
import pytest

from napari_sam.batch.executor import LocalExecutor, fitting_workers, open_executor
from napari_sam.errors import InputError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests


def halve(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value // 2


def kill_once(flag: str, value: int) -> int:
    if value == 3 and not os.path.exists(flag):
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def log(folder: str, value: int) -> int:
    Path(folder, str(value)).touch()
    time.sleep(0.05)
    return value


def slow(value: int) -> int:
    time.sleep(0.2)
    return value


def test_local_runs_in_order_and_reports_errors() -> None:
    outcomes = list(LocalExecutor().run(halve, [(str(n), (n,)) for n in range(4)]))
    assert [(o.name, o.value) for o in outcomes] == [("0", 0), ("1", None), ("2", 1), ("3", None)]
    assert str(outcomes[1].error) == "1 is odd"


def test_local_is_lazy() -> None:
    asked: list[int] = []

    def calls():
        for n in range(10):
            asked.append(n)
            yield str(n), (n * 2,)

    run = LocalExecutor().run(halve, calls())
    next(run)
    assert asked == [0]


def test_processes_survive_a_killed_worker_and_bound_what_waits(tmp_path: Path) -> None:
    asked: list[int] = []
    with open_executor(2) as executor:
        outcomes = {o.name: o for o in executor.run(halve, [(str(n), (n,)) for n in range(6)])}
        assert {name: o.value for name, o in outcomes.items()} == {
            "0": 0,
            "1": None,
            "2": 1,
            "3": None,
            "4": 2,
            "5": None,
        }
        assert str(outcomes["3"].error) == "3 is odd"

        killed = executor.run(kill_once, [(str(n), (str(tmp_path / "flag"), n)) for n in range(6)])
        assert sorted(o.value for o in killed) == list(range(6))

        def calls():
            for n in range(40):
                asked.append(n)
                yield str(n), (str(tmp_path), n)

        run = executor.run(log, calls())
        next(run)
        assert len(asked) <= 5
        run.close()
        time.sleep(0.3)
        assert len(list(tmp_path.iterdir())) < 10  # the rest was cancelled


def test_unreachable_scheduler_and_bad_number_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sam.batch.cluster.CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1 "),
        open_executor(1, "tcp://127.0.0.1:1"),
    ):
        pass
    with pytest.raises(InputError, match="-1 workers"), open_executor(-1):
        pass


def test_fitting_workers_follow_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 3 * 2**30

    monkeypatch.setattr("napari_sam.batch.executor.psutil.virtual_memory", lambda: Memory)
    assert fitting_workers() == 1


def test_a_scheduler_that_goes_away_is_one_sentence() -> None:
    from distributed import LocalCluster

    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50)
    with open_executor(scheduler=cluster.scheduler_address) as executor:
        outcomes = executor.run(slow, [(str(n), (n,)) for n in range(50)])
        next(outcomes)
        cluster.close()
        with pytest.raises(InputError, match="scheduler is gone: run the same again"):
            list(outcomes)
