"""What every benchmark shares: the machine, interleaved timing, medians, ratios and the result files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

__all__ = ["Result", "describe_machine", "parse_arguments", "report", "time_interleaved"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold one row of the table.

    Parameters
    ----------
    name
        What was timed.
    ours, theirs
        Median seconds; theirs is None where there is nothing to compare with.
    accuracy
        How close the two outcomes are, in words with a number.
    runs
        Timed runs of each.
    """

    name: str
    ours: float
    theirs: float | None
    accuracy: str
    runs: int
    machine: dict[str, str | int] = field(default_factory=lambda: describe_machine())

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return None if self.theirs is None else self.theirs / self.ours

    def row(self) -> str:
        """Format as a row of the Markdown table."""
        theirs = "" if self.theirs is None else _seconds(self.theirs)
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return f"| {self.name} | {theirs} | {_seconds(self.ours)} | {ratio} | {self.accuracy} | {self.runs} |"


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


def report(result: Result, path: Path | None) -> None:
    """Print the machine and the table row; write them as JSON where asked."""
    print(", ".join(f"{key} {value}" for key, value in result.machine.items()))
    print(HEADER)
    print(result.row())
    if path is not None:
        path.write_text(json.dumps(asdict(result) | {"ratio": result.ratio}, indent=1) + "\n")


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"
