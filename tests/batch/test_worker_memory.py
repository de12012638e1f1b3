from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys
import numpy as np
from napari_sam.batch.worker_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages, of which one stands for 512
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    np.ones(2**17)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_freed_memory_is_used_again() -> None:
    assert faults("leave") > 20 * faults("keep")
