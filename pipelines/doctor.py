"""`mimo doctor`: what this machine has for running the recipe, what it lacks, and the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

SMOKE_MEMORY_GB = 6
SMOKE_DISK_GB = 5
_OPTIONAL_EXTRAS = ("vllm", "dev")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `mend` is empty where nothing is to be done; `needed` is false for what only some need."""

    name: str
    found: str
    mend: str = ""
    needed: bool = True


def print_checks(as_json: bool) -> int:
    """Print all checks; status 1 when something needed is missing."""
    found = list(checks())
    if as_json:
        print(json.dumps([asdict(check) for check in found], indent=1))
    else:
        table = Table("", "check", "found", "what to do", box=None, padding=(0, 2, 0, 0))
        for check in found:
            mark = "ok" if not check.mend else "MISSING" if check.needed else "optional"
            table.add_row(mark, check.name, check.found, check.mend)
        Console(highlight=False).print(table, markup=False)
    return 1 if any(check.mend and check.needed for check in found) else 0


def checks() -> Iterator[Check]:
    """Everything that is looked at, cheapest first."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    right = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Check("Python", version, "" if right else "rm -rf .venv, then make PYTHON=python3.12 run")
    yield from _packages()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Check("memory", f"{memory:.0f} GB", "" if memory >= SMOKE_MEMORY_GB * 0.95 else "6 GB are needed for smoke")
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Check("free disk here", f"{free:.0f} GB", "" if free >= SMOKE_DISK_GB else "5 GB are needed; see --runs DIR")
    yield _sandbox()
    yield _accelerator()
    docker = shutil.which("docker")
    mend = "" if docker else "sudo apt-get install docker.io"
    yield Check("Docker (for make images and --runner docker)", docker or "none", mend, needed=False)


def _packages() -> Iterator[Check]:
    wrong, missing_extras = [], {}
    for text in distribution("mimo-pipeline").requires or []:
        requirement = Requirement(text)
        extra = next((name for name in _extras() if _only_with(requirement, name)), "")
        problem = _problem(requirement)
        if problem and extra in _OPTIONAL_EXTRAS:
            missing_extras[extra] = problem
        elif problem:
            wrong.append(problem)
    yield Check("packages", "all there" if not wrong else "; ".join(wrong), "make .venv/.installed" if wrong else "")
    for extra, problem in missing_extras.items():
        yield Check(f"extra {extra}", problem, f"pip install 'mimo-pipeline[{extra}]'", needed=False)


def _extras() -> list[str]:
    return distribution("mimo-pipeline").metadata.get_all("Provides-Extra") or []


def _only_with(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra})


def _problem(requirement: Requirement) -> str:
    try:
        version = distribution(requirement.name).version
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    return "" if version in requirement.specifier else f"{requirement.name} {version}, needed {requirement.specifier}"


def _sandbox() -> Check:
    """Model-written programs run under Landlock and seccomp at least."""
    from components.reward.sandbox import SandboxError, SandboxPool

    try:
        with SandboxPool(1) as pool:
            return Check("sandbox", pool.description.removeprefix("sandbox: "))
    except SandboxError as error:
        return Check("sandbox", "none", str(error))


def _accelerator() -> Check:
    if shutil.which("nvidia-smi") and find_spec("torch"):
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        names = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip().replace("\n", "; ")
        if names:
            return Check("GPU (for profiles gpu and mimo-7b)", names)
    return Check("GPU (for profiles gpu and mimo-7b)", "none", "smoke needs none; see mimo plan for the others", False)
