"""One phase of a job: many units of one kind, those of earlier runs left out, those that fail tried again."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_sam.batch.executor import Executor
from napari_sam.batch.job_spec import JobSpec
from napari_sam.batch.journal import JobJournal, StorageError
from napari_sam.batch.progress import BatchProgress, FailedUnit

__all__ = ["PhaseRunner", "Unit"]

Made = tuple[tuple[int, Path], ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Hold one piece of work.

    Parameters
    ----------
    key
        Its name in the journal.
    name
        Its name for people.
    inputs
        Digest of all that it is made from.
    arguments
        Of the phase's function, after the `JobSpec`.
    file
        That it makes, None for a block of the labels.
    """

    key: str
    name: str
    inputs: str
    arguments: tuple[Any, ...]
    file: Path | None = None


@dataclass(kw_only=True)
class PhaseRunner:
    """Run the phases of one job, and remember what failed.

    Parameters
    ----------
    spec, journal, executor
        Of the job.
    failed
        Filled as units fail.
    changed
        Whether any unit was done in this run.
    """

    spec: JobSpec
    journal: JobJournal
    executor: Executor
    failed: list[FailedUnit] = field(default_factory=list)
    changed: bool = False

    def run(
        self, phase: str, function: Callable[..., Any], units: Sequence[Unit], *, heavy: bool = False
    ) -> Iterator[BatchProgress]:
        """Do what is not done yet; heavy units report while they are at work.

        Raises
        ------
        StorageError
            If there is no place for what a unit makes.
        """
        pending = {unit.key: unit for unit in units if not self._is_done(unit)}
        started, before = time.monotonic(), len(units) - len(pending)
        done = before
        earlier = _made(phase, [unit for unit in units if unit.key not in pending])
        yield self._progress(phase, done, len(units), 0, started, earlier)
        for _attempt in range(self.spec.settings.retries + 1):
            errors: dict[str, Exception] = {}
            # the executor takes as many of these as it can soon begin
            calls = ((key, (self.spec, *unit.arguments)) for key, unit in list(pending.items()))
            run = self.executor.watch if heavy else self.executor.run
            try:
                with contextlib.closing(run(function, calls)) as outcomes:  # lets go of them when stopped
                    for outcome in outcomes:
                        if outcome is None:
                            yield self._progress(phase, done, len(units), done - before, started)
                            continue
                        unit = pending[outcome.name]
                        if isinstance(outcome.error, StorageError):
                            raise outcome.error
                        made: Made = ()
                        if outcome.error is not None:
                            errors[unit.key] = outcome.error
                        else:
                            self._note(unit, outcome.value)
                            del pending[outcome.name]
                            done += 1
                            made = _made(phase, [unit])
                        yield self._progress(phase, done, len(units), done - before, started, made)
            except GeneratorExit:
                self._note_late(pending)
                raise
            if not pending:
                break
        for key, unit in pending.items():
            self.failed.append(FailedUnit(name=unit.name, reason=_sentence(errors[key])))
        if pending:
            yield self._progress(phase, done, len(units), done - before, started)

    def line(self, unit: Unit) -> dict[str, Any] | None:
        """Return what the journal holds of a unit that is done, or None."""
        return self.journal.done(unit.key, unit.inputs)

    def digests(self, units: Sequence[Unit]) -> list[str]:
        """Return the digests of what units made, "" for those that failed."""
        return [line["digest"] if (line := self.line(unit)) else "" for unit in units]

    def _is_done(self, unit: Unit) -> bool:
        line = self.line(unit)
        if line is None:
            return False
        if unit.file is not None:
            try:
                if hashlib.sha256(unit.file.read_bytes()).hexdigest() != line["digest"]:
                    return False
            except OSError:  # gone: it is made again
                return False
        self._note_problems(line)
        return True

    def _note(self, unit: Unit, values: dict[str, Any]) -> None:
        self._note_problems(self.journal.write(unit.key, unit.inputs, **values))
        self.changed = True

    def _note_late(self, pending: dict[str, Unit]) -> None:
        """Keep what came to its end while it was being stopped."""
        for outcome in self.executor.late:
            if outcome.error is None and outcome.name in pending:
                self._note(pending[outcome.name], outcome.value)

    def _note_problems(self, line: dict[str, Any]) -> None:
        self.failed.extend(FailedUnit(**problem) for problem in line.get("problems", ()))

    def _progress(
        self, phase: str, done: int, total: int, fresh: int, started: float, made: Made = ()
    ) -> BatchProgress:
        part = min(self.executor.under_way, total - done)
        rate = (fresh + part) / max(time.monotonic() - started, 1e-6)
        return BatchProgress(
            phase=phase,
            done=done,
            total=total,
            part=part,
            made=made,
            rate=rate,
            seconds_left=(total - done - part) / rate if fresh or part > 0.01 else None,
            failed=tuple(self.failed),
            output=self.spec.labels.path,
            dashboard=self.executor.dashboard,
        )


def _made(phase: str, units: Sequence[Unit]) -> Made:
    return tuple((unit.arguments[0], unit.file) for unit in units if unit.file) if phase == "tiles" else ()


def _sentence(error: Exception) -> str:
    """Return the first line of what went wrong, with the kind of error where it was not written for the user."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
