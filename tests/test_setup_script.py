"""The set-up script installs or names what is missing, and says in one sentence when it cannot go on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder with the script and, as `bin`, the only commands of a bare Linux machine without Python."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(shutil.which("dirname") or "")
    (tmp_path / "bin" / "env").symlink_to(shutil.which("env") or "")
    add(tmp_path, "uname", "echo Linux")
    add(tmp_path, "ldconfig", "echo 'libGL.so.1 (libc6,x86-64) => /lib/libGL.so.1'")
    add(tmp_path, "id", "echo 1000")
    return tmp_path


def add(machine: Path, name: str, script: str) -> None:
    """Add a command that notes its arguments in `calls` and runs the script."""
    path = machine / "bin" / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{machine}/calls"\n{script}\n')
    path.chmod(0o755)


def setup(machine: Path, what: str = "demo") -> subprocess.CompletedProcess[str]:
    command = [shutil.which("sh") or "sh", "scripts/setup.sh", what]
    environment = {"PATH": str(machine / "bin")}
    return subprocess.run(command, cwd=machine, env=environment, capture_output=True, text=True)


def calls(machine: Path) -> str:
    return (machine / "calls").read_text()


def good_python(machine: Path, name: str, pip: str = "exit 0") -> None:
    """Add a Python that passes the check and whose venv holds a pip that does as told."""
    python = machine / "made-python"
    python.write_text(f'#!/bin/sh\necho "venv-python $*" >> "{machine}/calls"\n{pip}\n')
    python.chmod(0o755)
    mkdir, copy = shutil.which("mkdir"), shutil.which("cp")
    make = f'case "$*" in *venv*.venv) {mkdir} -p .venv/bin; {copy} made-python .venv/bin/python;; *) echo 3.12;; esac'
    add(machine, name, make)


def test_missing_libraries_and_python_are_named(machine: Path) -> None:
    result = setup(machine)
    assert result.returncode == 1
    assert "libegl1" in result.stderr
    assert "libxcb-cursor0" in result.stderr
    assert " libgl1" not in result.stderr  # ldconfig knows it
    assert "install one (on Debian and Ubuntu with its package python3-venv)" in result.stderr


def test_root_installs_only_what_is_missing(machine: Path) -> None:
    add(machine, "id", "echo 0")
    add(machine, "apt-get", "exit 0")
    good_python(machine, "python3.12")
    result = setup(machine)
    assert result.returncode == 0, result.stderr
    install = next(line for line in calls(machine).splitlines() if "install" in line)
    assert "libegl1" in install
    assert "xvfb" in install
    assert " libgl1 " not in install
    assert "may not install" not in result.stderr


def test_old_python_is_passed_over_and_extras_follow_the_target(machine: Path) -> None:
    add(machine, "python3.13", "exit 1")
    good_python(machine, "python3")
    result = setup(machine, "test")
    assert result.returncode == 0, result.stderr
    assert "python3 -m venv --clear .venv" in calls(machine)
    assert "--editable .[all,test]" in calls(machine)


def test_failed_download_is_one_sentence(machine: Path) -> None:
    good_python(machine, "python3.12", pip='case "$*" in *install*) exit 1;; esac')
    result = setup(machine)
    assert result.returncode == 1
    assert "check the network connection" in result.stderr


def test_unknown_target(machine: Path) -> None:
    assert setup(machine, "nonsense").returncode == 2
