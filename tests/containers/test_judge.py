"""The judge's image: its sandbox and its server, as a default pod would run them."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import DOCKER, POD, PREFIX, inside, sh

SELF_TEST = """
import json, os
from components.reward.sandbox import SandboxPool
from components.reward.code import judge
from components.problems import CodeProblem

problem = CodeProblem(id="p", source="", prompt="Double it.", tests=[{"input": "3", "expected": "6"}])
programs = {"right": "print(2 * int(input()))", "wrong": "print(7)",
            "reads": "print(open('/etc/passwd').read())", "asks": "import socket; socket.socket()"}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
with SandboxPool(1) as pool:
    verdicts = {name: judge(program, problem, pool).tests[0] for name, program in programs.items()}
    print(json.dumps({"level": pool.level, "reports": pool.reports, "verdicts": verdicts, "uid": os.getuid(),
                      "capabilities": int(status["CapEff"], 16), "seccomp": int(status["Seccomp"]),
                      "keys": open("/proc/kcore", "rb").read(1).hex() if os.access("/proc/kcore", os.R_OK) else ""}))
"""
ASK = """
import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8300" + sys.argv[1], timeout=5).read().decode())
"""


def test_the_sandbox_s_self_test_reaches_landlock_in_a_default_pod(images: dict[str, Any]) -> None:
    """No capabilities, the engine's default seccomp profile, an arbitrary user, masked /proc."""
    found = json.loads(inside("judge", "python", "-", script=SELF_TEST).splitlines()[-1])
    assert (found["uid"], found["capabilities"], found["seccomp"], found["keys"]) == (12345, 0, 2, "")
    assert found["level"] == "landlock" and found["reports"]["landlock"] == "ok"
    assert found["verdicts"] == {"right": "pass", "wrong": "wrong", "reads": "error", "asks": "error"}


@pytest.fixture
def judge(images: dict[str, Any]) -> Iterator[str]:
    """The image's own entry point, running."""
    container = sh(DOCKER, "run", "-d", *POD, f"{PREFIX}-judge")
    yield container
    sh(DOCKER, "rm", "-f", container)


def test_the_image_serves_verdicts(judge: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            ready = sh(DOCKER, "exec", "-i", judge, "python", "-", "/readyz", input=ASK)
            break
        except AssertionError:
            assert time.monotonic() < deadline, sh(DOCKER, "logs", judge)
            time.sleep(0.5)
    assert json.loads(ready)["status"] == "ready"
    assert "ready: sandbox level landlock" in sh(DOCKER, "logs", judge, stderr=subprocess.STDOUT)
    assert "openapi" in sh(DOCKER, "exec", "-i", judge, "python", "-", "/openapi.json", input=ASK)
    sh(DOCKER, "stop", "-t", "20", judge)  # SIGTERM: it drains
    assert sh(DOCKER, "inspect", "--format", "{{.State.ExitCode}}", judge) == "0"
