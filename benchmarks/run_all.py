"""Run every benchmark, each in a process of its own, and print one Markdown table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import HEADER, Result

BENCHMARKS = (
    "encode_vit_b.py",
    "prompt_latency.py",
    "boxes.py",
    "automatic.py",
    "automatic_memory.py",
    "bundled_window.py",
    "second_text.py",
    "fresh_start.py",
)


def main() -> None:
    """Pass the command line on to each benchmark and collect what they write."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in BENCHMARKS:
            path = Path(folder) / f"{name}.json"
            command = [sys.executable, str(Path(__file__).parent / name), *sys.argv[1:], "--json", str(path)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for fields in json.loads(path.read_text()):
                fields.pop("ratio")
                results.append(Result(**fields))
    for key, value in results[0].machine.items():
        print(f"- {key}: {value}")
    print(f"\n{HEADER}")
    for result in results:
        print(result.row())


if __name__ == "__main__":
    main()
