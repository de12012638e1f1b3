"""What every benchmark shares: the machine, interleaved timing, medians, ratios and the result files."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

__all__ = ["Result", "describe_machine", "parse_arguments", "peak_memory", "report", "time_interleaved"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold one row of the table.

    Parameters
    ----------
    name
        What was timed.
    ours, theirs
        Medians, in `unit`; theirs is None where there is nothing to compare with.
    accuracy
        How close the two outcomes are, in words with a number.
    runs
        Timed runs of each.
    unit
        "s" or "bytes".
    """

    name: str
    ours: float
    theirs: float | None
    accuracy: str
    runs: int
    unit: str = "s"
    machine: dict[str, str | int] = field(default_factory=lambda: describe_machine())

    @property
    def ratio(self) -> float | None:
        """How many times less ours takes."""
        return None if self.theirs is None else self.theirs / self.ours

    def row(self) -> str:
        """Format as a row of the Markdown table."""
        theirs = "" if self.theirs is None else self._text(self.theirs)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return f"| {self.name} | {theirs} | {self._text(self.ours)} | {ratio} | {self.accuracy} | {self.runs} |"

    def _text(self, value: float) -> str:
        if self.unit == "bytes":
            return f"{value / 2**20:.0f} MB"
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


HEADER = "| what | segment-anything 1.0 | napari-sam-stack | ratio | accuracy | runs |\n|---|---|---|---|---|---|"


def describe_machine() -> dict[str, str | int]:
    """Describe processor, threads, load and versions."""
    names = [
        line.split(":", 1)[1].strip()
        for line in (Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else [])
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "load average (1 min)": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def time_interleaved(functions: dict[str, Callable[[], object]], runs: int, warmup: int = 1) -> dict[str, float]:
    """Run the functions in turn, so that a busy moment hits them all; return the median seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warmup + runs):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def parse_arguments(description: str, runs: int) -> argparse.Namespace:
    """Read --runs, --threads and --json, and set torch's threads."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs, help="timed runs of each (default %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def report(results: Sequence[Result], path: Path | None) -> None:
    """Print the machine and the rows of the table; write them as JSON where asked."""
    print(", ".join(f"{key} {value}" for key, value in results[0].machine.items()))
    print(HEADER)
    for result in results:
        print(result.row())
    if path is not None:
        path.write_text(json.dumps([asdict(result) | {"ratio": result.ratio} for result in results], indent=1) + "\n")


def peak_memory(function: Callable[[], object]) -> int:
    """Return by how many bytes the process grew at most while a function ran, sampled every 5 ms."""
    process, peak, stop = psutil.Process(), 0, threading.Event()
    gc.collect()
    before = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        stop.set()
        watcher.join()
    return max(0, peak - before)
