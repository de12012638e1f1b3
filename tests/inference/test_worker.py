"""The newest request wins, whatever happens to the others; no test sleeps."""

from __future__ import annotations

import threading

import pytest

from napari_sam.errors import OperationCancelled
from napari_sam.inference.worker import LatestWins

PATIENCE = 20


@pytest.fixture
def worker():
    worker = LatestWins()
    yield worker
    assert worker.stop(PATIENCE)


class Log:
    """Collects outcomes, and a request that runs until it is let go."""

    def __init__(self, worker: LatestWins) -> None:
        self.worker = worker
        self.events: list[object] = []
        self.started = threading.Event()
        self.release = threading.Event()

    def submit(self, work) -> None:
        self.worker.submit(work, self.events.append, lambda error: self.events.append(type(error)))

    def hold(self, result="held") -> None:
        def work():
            self.started.set()
            assert self.release.wait(PATIENCE)
            self.worker.check()
            return result

        self.submit(work)
        assert self.started.wait(PATIENCE)


@pytest.fixture
def log(worker):
    return Log(worker)


def test_the_newest_of_those_that_wait_runs(log, worker):
    log.hold()
    ran = []
    for i in range(5):
        log.submit(lambda i=i: ran.append(i) or i)
    assert not worker.idle
    log.release.set()
    assert worker.wait_idle(PATIENCE)
    assert ran == [4]
    assert log.events == ["held", 4]
    assert worker.idle


def test_all_work_runs_on_one_thread_that_is_not_the_callers(log, worker):
    for _ in range(2):
        log.submit(threading.get_ident)
        assert worker.wait_idle(PATIENCE)
    assert len(set(log.events)) == 1
    assert threading.get_ident() not in log.events


def test_errors_are_handed_over_and_the_next_request_runs(log, worker):
    log.submit(lambda: 1 / 0)
    assert worker.wait_idle(PATIENCE)
    log.submit(lambda: "well")
    assert worker.wait_idle(PATIENCE)
    assert log.events == [ZeroDivisionError, "well"]


def test_cancel_stops_the_running_and_drops_the_waiting(log, worker):
    log.hold()
    log.submit(lambda: "dropped")
    worker.cancel()
    log.release.set()
    assert worker.wait_idle(PATIENCE)
    assert log.events == [OperationCancelled]


def test_a_request_after_cancel_is_not_cancelled(log, worker):
    log.hold()
    worker.cancel()

    def fine():
        worker.check()
        return "fine"

    log.submit(fine)
    log.release.set()
    assert worker.wait_idle(PATIENCE)
    assert log.events == [OperationCancelled, "fine"]
    worker.cancel()  # of nothing
    log.submit(fine)
    assert worker.wait_idle(PATIENCE)
    assert log.events[-1] == "fine"


def test_check_serves_as_progress(log, worker):
    worker.check(3, 12)
    log.submit(lambda: worker.check(1, 2))
    assert worker.wait_idle(PATIENCE)
    assert log.events == [None]


def test_waiting_gives_up_after_its_time(log, worker):
    log.hold()
    assert not worker.wait_idle(0.01)
    log.release.set()
    assert worker.wait_idle(PATIENCE)


def test_stop_ends_the_thread_and_refuses_work(log, worker):
    log.hold()
    log.submit(lambda: "dropped")
    assert not worker.stop(0.01)  # the running request has not looked yet
    log.release.set()
    assert worker.stop(PATIENCE)
    assert log.events == [OperationCancelled]
    with pytest.raises(RuntimeError, match="stopped"):
        log.submit(lambda: 1)
    assert worker.stop(PATIENCE)  # again is fine


def test_stop_from_a_callback_does_not_wait_for_itself(worker):
    done = threading.Event()

    def stop(_):
        worker.stop()
        done.set()

    worker.submit(lambda: 1, stop, stop)
    assert done.wait(PATIENCE)


def test_an_error_in_a_callback_is_reported_and_the_thread_lives_on(log, worker, monkeypatch):
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def broken(_):
        raise KeyError("in the callback")

    worker.submit(lambda: 1, broken, broken)
    assert worker.wait_idle(PATIENCE)
    log.submit(lambda: "well")
    assert worker.wait_idle(PATIENCE)
    assert [report.exc_type for report in reported] == [KeyError]
    assert log.events == ["well"]


def test_requests_from_callbacks_run(log, worker):
    worker.submit(lambda: 1, lambda result: log.submit(lambda: result + 1), log.events.append)
    assert worker.wait_idle(PATIENCE)
    assert log.events == [2]
