"""The judge as a server, in real processes: killed, drained, flooded, fed nonsense. No verdict is lost or invented."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.problems import CodeProblem, MathProblem, TestCase
from components.reward.config import RewardConfig
from components.reward.judges import LocalJudge, open_judge
from components.reward.rewards import Reward, Rewarder
from components.reward.service import client as client_module
from components.reward.service.client import JudgeClient, JudgeError
from components.reward.service.config import ServiceConfig
from pipelines import cli
from pipelines.profile import load_profile

PROBLEM = CodeProblem(id="p", source="test", prompt="p", tests=tuple(
    TestCase(input=f"{n}\n", expected=f"{n + 1}\n", pass_rate=n / 4) for n in range(4)
))
CALL = CodeProblem(id="c", source="test", prompt="p", function="double", tests=(TestCase(input="[2]", expected="4"),))
RIGHT = Reward(1.0, "correct", True, ("pass",) * 4)


def slow(serial: int, seconds: float = 0.05) -> str:
    return f"```python\nimport time\ntime.sleep({seconds})\nprint(int(input()) + 1)  # {serial}\n```"


class Server:
    """A judge's process."""

    def __init__(self, *overrides: str, port: int = 0, command: Sequence[str] = ("components.reward.service",)) -> None:
        settings = [word for text in ("slots=2", *overrides) for word in ("--set", text)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port), *settings], stderr=subprocess.PIPE, text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"listening on (http://\S+:(\d+))", line):
                self.url, self.port = found[1], int(found[2])
                break
        self.log: list[str] = []
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 60
        while httpx.get(f"{self.url}/readyz").status_code != 200:
            assert time.monotonic() < deadline and self.process.poll() is None, self.log
            time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def rewarder(self, **values: Any) -> Rewarder:
        return Rewarder(RewardConfig(judge_url=self.url, **values))

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    def descendants(self, name: str) -> list[int]:
        """Processes of the judge whose command line holds `name`."""
        found, todo = [], [self.process.pid]
        while todo:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pid = todo.pop()
                for path in Path(f"/proc/{pid}/task").glob("*/children"):
                    todo += map(int, path.read_text().split())
                if name in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("queue_items=300", "request_mb=1", "batch_items=200", "tests=50", "request_s=1.5") as started:
        yield started


def test_answers_are_those_of_the_pools_of_this_process(server: Server) -> None:
    work: list[tuple[MathProblem | CodeProblem, str]] = [
        (MathProblem(id="m", source="s", prompt="p", answer=gold), f"so \\boxed{{{answer}}}")
        for gold, answer in [("42", "42"), ("42", r"6\times 7"), ("x+1", "1+x"), (r"\frac12", "0.5"),
                             ("(1,2)", "[1,2]"), ("3", r"9^{9^{9^{9}}}"), ("\\{1,2\\}", "\\{2,1\\}")]
    ]
    work += [(PROBLEM, text) for text in (
        slow(0, 0), "no program", "```python\n1 +\n```",
        "```python\nn = int(input())\nprint(n + 1 if n < 3 else 'no')\n```", "```python\nwhile True: pass\n```",
        "```python\nprint('\ud800')\n```", "```python\nprint('x' * 10**7)\n```",
    )]
    work.append((CALL, "```python\ndef double(n): return 2 * n\n```"))
    values: dict[str, Any] = {"cpu_s": 0.3, "scheme": "strict"}
    with server.rewarder(**values) as remote, Rewarder(RewardConfig(**values)) as own:
        asked = [remote.submit(problem, text) for problem, text in work]
        expected = [own.score(problem, text) for problem, text in work]
        assert [future.result(60) for future in asked] == expected
    assert {reward.kind for reward in expected} >= {"correct", "wrong", "unparsable"}
    assert RewardConfig(judge_url=server.url, judge_priority=3).digest() == RewardConfig().digest()


def test_one_key_takes_every_stage_that_judges_from_its_own_pools_to_mimo_judge_serve() -> None:
    with Server(command=("pipelines.cli", "judge", "serve")) as server:
        stages = {name: type(config) for name, config in load_profile("smoke").configs.items()
                  if "reward" in type(config).model_fields}
        assert {"problems", "synthesis", "curation", "rl", "rl_zero"} < stages.keys()
        own = load_profile("smoke").configs
        remote = load_profile("smoke", [f"{name}.reward.judge_url={server.url}" for name in stages]).configs
        for name in stages:
            assert own[name].digest() == remote[name].digest()       # so results are shared between the two
            with contextlib.closing(open_judge(own[name].reward)) as judge:      # type: ignore[attr-defined]
                assert isinstance(judge, LocalJudge)
            with contextlib.closing(open_judge(remote[name].reward)) as judge:   # type: ignore[attr-defined]
                assert judge.compare("x+1", "\\boxed{1+x}").result(30).kind == "correct"
        assert server.metric("mimo_judge_verdicts_total") == len(stages)
        interface = httpx.get(f"{server.url}/openapi.json").json()
        answers = interface["paths"]["/v1/verdicts"]["post"]["responses"]
        assert {"400", "409", "413", "422", "429", "503"} < answers.keys()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_the_help_of_the_server_names_every_key_and_wrong_ones_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["judge", "serve", "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and "reward.judge_url" in text
    assert all(f"\n  {name} " in text for name in ServiceConfig.model_fields)
    assert cli.main(["judge", "serve", "--set", "slot=8"]) == 2
    assert "judge.slot: unknown key" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["judge", "serve", "--port", str(taken.getsockname()[1])]) == 2
        assert "--port" in capsys.readouterr().err


def test_killed_processes_of_the_judge_change_no_verdict() -> None:
    with Server() as server, server.rewarder() as rewarder:
        formula = MathProblem(id="m", source="s", prompt="p", answer="x+1")
        assert rewarder.score(formula, "\\boxed{1+x}").kind == "correct"
        rewards = [rewarder.submit(PROBLEM, slow(n)) for n in range(16)]
        for _ in range(4):
            time.sleep(0.2)
            for pid in [*server.descendants("keeper.py")[:2], *server.descendants("math_worker")]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            rewards.append(rewarder.submit(PROBLEM, slow(len(rewards))))
            assert rewarder.score(formula.model_copy(update={"answer": f"x+{len(rewards)}"}),
                                  f"\\boxed{{{len(rewards)}+x}}").kind == "correct"
        assert [future.result(60) for future in rewards] == [RIGHT] * 20
        assert server.process.poll() is None


def test_a_server_killed_in_the_middle_loses_no_verdict_and_invents_none() -> None:
    with Server() as first:
        rewarder = first.rewarder()
        rewards = [rewarder.submit(PROBLEM, slow(n)) for n in range(12)]
        wrong = [rewarder.submit(PROBLEM, f"```python\nprint(int(input()))  # {n}\n```") for n in range(12)]
        rewards[3].result(60)
        first.process.kill()
        first.process.wait()
        assert any(not future.done() for future in rewards + wrong)
    time.sleep(0.5)
    with Server(port=first.port):
        assert [future.result(60) for future in rewards] == [RIGHT] * 12
        assert {(future.result(60).kind, future.result(60).value) for future in wrong} == {("wrong", 0.0)}
        rewarder.close()


def test_a_judge_that_stays_away_masks_completions_and_judges_nothing_here() -> None:
    with Server() as server:
        rewarder = server.rewarder(judge_patience_s=1.0)
        reward = rewarder.submit(PROBLEM, slow(0, 5))
        time.sleep(0.3)
        server.process.kill()
        assert reward.result(30) == Reward(None, "infrastructure", False, ("infrastructure",) * 4)
        formula = MathProblem(id="m", source="s", prompt="p", answer="x+1")
        assert rewarder.score(formula, "\\boxed{1+x}") == Reward(None, "infrastructure")
        rewarder.close()


def test_sigterm_answers_what_was_accepted_and_refuses_the_rest() -> None:
    with Server() as server, server.rewarder() as rewarder:
        accepted = [rewarder.submit(PROBLEM, slow(n, 0.15)) for n in range(6)]
        while server.metric("mimo_judge_queued_items") + server.metric("mimo_judge_running_items") < 6:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        refused = httpx.post(f"{server.url}/v1/verdicts", json={"items": []})
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
        assert "draining" in refused.json()["errors"][0]
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert [future.result(60) for future in accepted] == [RIGHT] * 6
        assert server.process.wait(20) == 0


def request(body: bytes, length: int | None = None) -> bytes:
    return (b"POST /v1/verdicts HTTP/1.1\r\nHost: judge\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length)) + body


def test_slow_clients_hold_up_nobody(server: Server) -> None:
    problem = {**PROBLEM.model_dump(), "tests": [{"input": "", "expected": ""}] * 50}
    broken = [{"kind": "code", "program": f"1 + # {n}", "problem": problem} for n in range(80)]
    never_reads = request(json.dumps({"items": broken}).encode())
    connections = []
    for start in (b"POST /v1/verd", request(b'{"items": [', 1000), request(b"", 1000), *[never_reads] * 3):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(start)
        connections.append(connection)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.1):
            for connection in connections[:3]:
                with contextlib.suppress(OSError):
                    connection.send(b" ")

    trickler = threading.Thread(target=trickle)
    trickler.start()
    with server.rewarder() as rewarder:
        rewards = [rewarder.submit(PROBLEM, slow(1000 + n, 0)) for n in range(20)]
        assert [future.result(20) for future in rewards] == [RIGHT] * 20
    connections[1].settimeout(10)
    assert b"408" in connections[1].recv(100)
    stop.set()
    trickler.join()
    for connection in connections:
        connection.close()
    deadline = time.monotonic() + 20
    while server.metric("mimo_judge_request_bytes") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.metric("mimo_judge_request_bytes") == 0


def test_two_thousand_at_once_are_answered_or_refused(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))

    async def one(serial: int) -> str:
        item = {"kind": "math", "gold": f"x+{serial % 300}", "completion": f"\\boxed{{{serial % 300}+x}}"}
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(json.dumps({"items": [item]}).encode()))
        reply = b""
        while b"\r\n0\r\n\r\n" not in reply and b'"errors"' not in reply:
            more = await reader.read(4096)
            if not more:
                return f"lost: {reply!r}"
            reply += more
        writer.close()
        status = int(reply.split()[1])
        if status == 200:
            return "correct" if b'{"index":0,"kind":"correct"' in reply else f"not an answer: {reply!r}"
        return "refused" if status == 429 and b"retry-after: " in reply.lower() else f"neither: {reply!r}"

    async def flood() -> Counter[str]:
        return Counter(await asyncio.wait_for(asyncio.gather(*map(one, range(2000))), 120))

    found = asyncio.run(flood())
    assert set(found) == {"correct", "refused"} and found.total() == 2000

    judge = JudgeClient(server.url)              # which waits and asks again, so that all 2,000 are answered
    verdicts = [judge.compare(f"y+{n % 300}", f"\\boxed{{{n % 300}+y}}") for n in range(2000)]
    assert Counter(future.result(120).kind for future in verdicts) == {"correct": 2000}
    judge.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


MATH = {"kind": "math", "gold": "1", "completion": "\\boxed{1}"}
CODE = {"kind": "code", "program": "print(1)", "problem": PROBLEM.model_dump(mode="json")}
MANY = {**PROBLEM.model_dump(mode="json"), "tests": [{"input": "", "expected": ""}] * 51}


@pytest.mark.parametrize(("body", "status", "error"), [
    (b"", 422, "body"),
    (b"{", 422, "body: not JSON"),
    (b"[" * 100_000, 400, "body: cannot be read as JSON"),
    (b'{"items": ' + b"9" * 5000 + b"}", 400, "body: cannot be read as JSON"),
    (b"\xff\xfe", 422, "body: not JSON"),
    (b" " * (1 << 20) + b"{}", 413, "request_mb"),
    ({"items": []}, 422, "items: "),
    ({"items": [MATH] * 201}, 422, r"items: 201 are more than 200 \(batch_items\)"),
    ({"items": [MATH, {**MATH, "gold": 1}]}, 422, "items.1.gold: "),
    ({"items": [{**MATH, "kind": "chess"}]}, 422, "items.0: .*'chess'"),
    ({"items": [{**MATH, "verdict": "correct"}]}, 422, "items.0.verdict: Extra"),
    ({"items": [{**CODE, "problem": MANY}]}, 422, r"items.0.problem.tests: 51 are more than 50"),
    ({"items": [{**CODE, "limits": {"cpu_s": 31, "wall_s": 60}}]}, 422, "items.0.limits.cpu_s: 31 is more than 30"),
    ({"items": [{**CODE, "limits": {"memory_bytes": 1 << 33}}]}, 422, "items.0.limits.memory_bytes: "),
    ({"items": [MATH], "priority": 99}, 422, "priority: "),
    ({"items": [MATH], "rules": "0123"}, 409, "rules: 0123 expected"),
])
def test_wrong_requests_are_refused_by_field(server: Server, body: Any, status: int, error: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = httpx.post(f"{server.url}/v1/verdicts", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code == status and re.search(error, "\n".join(reply.json()["errors"])), reply.text
    assert len(reply.content) < 2000


def test_a_refused_item_harms_no_other(server: Server) -> None:
    with server.rewarder() as rewarder:
        problems = [PROBLEM.model_copy(update={"tests": PROBLEM.tests * times}) for times in (1, 13, 1)]
        first, refused, last = [rewarder.submit(problem, slow(5000, 0)) for problem in problems]
        huge = rewarder.submit(PROBLEM, f"```python\n{'#' * (1 << 20)}\n```")
        assert first.result(30) == last.result(30) == RIGHT
        with pytest.raises(JudgeError, match=r"items.0.problem.tests: 52 are more than 50 \(tests\)"):
            refused.result(30)
        with pytest.raises(JudgeError, match="request_mb"):
            huge.result(30)


def test_a_judge_that_cannot_be_used_stops_the_start(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(JudgeError, match=rf"no judge is ready at {url} \(reward.judge_url\).*mimo judge serve"):
            Rewarder(RewardConfig(judge_url=url, judge_patience_s=0.3))
    with pytest.raises(JudgeError, match="it answers 404"):
        Rewarder(RewardConfig(judge_url=f"{server.url}/judge"))
    monkeypatch.setattr(client_module, "rules", lambda: {"python": "2.7"})
    with pytest.raises(JudgeError, match=r"other rules than this code.*python here 2.7, there 3"):
        server.rewarder()


def test_a_sandbox_below_the_minimum_stops_the_server_and_it_is_never_ready() -> None:
    script = (
        "import sys\nfrom components.reward.sandbox import levels\n"
        "levels._PROBE = '''import time; time.sleep(1)\\n"
        "print('breaches: /etc/passwd user: 1')  # %(uid)d %(namespaces)r'''\n"
        "from components.reward.service.command import main\nsys.exit(main(['--port', '0']))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = re.search(r"http://\S+", process.stderr.readline())
    assert url is not None
    assert httpx.get(f"{url[0]}/healthz").status_code == 200
    assert httpx.get(f"{url[0]}/readyz").json() == {"status": "starting"}
    refused = httpx.post(f"{url[0]}/v1/verdicts", json={"items": [MATH]})
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1 and "breaches: /etc/passwd" in log and "minimum_level" in log


class Forger:
    """A server that answers `/v1/verdicts` with whatever it is told to."""

    def __init__(self, reply: Callable[[dict[str, Any]], bytes]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.reply, self.asked = reply, 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        from components.reward.service.rules import rules

        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                target, length = file.readline().split()[1], 0
                while line := file.readline().strip().lower():
                    length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
                body = file.read(length)
                if target == b"/v1/verdicts":
                    self.asked += 1
                    connection.sendall(self.reply(json.loads(body)))
                else:
                    about = json.dumps({"rules": rules(), "batch_items": 9, "request_bytes": 10**6}).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(about), about))


@pytest.mark.parametrize("lines", [
    b"", b'{"index":0,"kind":"cor', b'{"index":7,"kind":"correct","tests":["pass","pass","pass","pass"]}\n',
    b'{"index":0,"kind":"correct"}\n', b'{"index":0,"kind":"correct","tests":["pass"]}\n', b"<html>\n", b"[]\n",
    b'{"index":0,"kind":"fine","tests":["pass","pass","pass","fine"]}\n', b'{"index":0,"kind":"infrastructure"}\n',
])
def test_a_reply_that_is_no_verdict_is_never_taken_for_one(lines: bytes) -> None:
    forger = Forger(lambda body: b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + lines)
    with forger.listener, Rewarder(RewardConfig(judge_url=forger.url)) as rewarder:
        assert rewarder.score(PROBLEM, slow(0)) == Reward(None, "infrastructure", False, ("infrastructure",) * 4)
        assert forger.asked == 4
