"""All attacks again, as they would run in an ordinary Kubernetes pod: see `pod.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def in_a_pod(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, str(HERE / "pod.py"), *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.fixture(scope="module", autouse=True)
def _a_pod_can_be_had() -> None:
    probe = in_a_pod("-c", "import os; print(os.geteuid())")
    if "unshare" in probe.stderr:
        pytest.skip("root without user namespaces: cannot become somebody else here")
    assert probe.returncode == 0 and probe.stdout.strip() != "0", probe.stderr


def test_the_base_level_is_found_and_what_stronger_ones_lack_is_said() -> None:
    script = "from components.reward.sandbox import SandboxPool\nwith SandboxPool(2) as pool: print(pool.description)"
    found = in_a_pod("-c", script)
    assert "level landlock, self-test passed" in found.stdout, found.stderr
    assert "namespaces: " in found.stdout and "user: own users need a start as root" in found.stdout
    script = "from components.reward.sandbox import SandboxPool\nSandboxPool(1, minimum_level='user')"
    refused = in_a_pod("-c", script)
    assert refused.returncode and "no sandbox of level 'user' or stronger" in refused.stderr
    assert "minimum_level" in refused.stderr and "unshare" in refused.stderr


def test_every_attack_fails_there_too() -> None:
    tests = str(HERE / "test_reward_attacks.py")
    result = in_a_pod("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", tests, "-k", "landlock", "-rA")
    programs = len(list((HERE / "programs").glob("*.py")))
    assert result.returncode == 0, result.stdout[-4000:]
    assert result.stdout.count("\nPASSED ") >= programs and "SKIPPED" not in result.stdout
