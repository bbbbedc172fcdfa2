"""A real HTTP server that fails in every usual way, and a stage that is killed while it waits for answers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.artifacts import describe_shard, open_artifact, write_manifest
from components.config import ConfigError
from components.data.documents import DOCUMENT_SCHEMA, read_documents, write_parquet
from components.data.endpoint import (
    Journal,
    RecordedTeacher,
    open_endpoint,
    open_journal,
    read_completion,
    retry_after,
)
from components.data.endpoint_config import Endpoint
from components.data.teacher import Generation, TeacherError
from components.problems import MathProblem, write_problems
from components.runner import execute


class Server(ThreadingHTTPServer):
    """Answers `What is a + b?` after the faults that `script` names for this prompt, one a try.

    The last step of a script stays in force for all later tries.
    """

    daemon_threads = True

    def __init__(self, script=lambda prompt: ["ok"], delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.delay = script, delay
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.keys: set[str | None] = set()
        self.busy = self.busiest = 0

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Clients that were killed or gave up are part of the test."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            tries = self.server.asked[prompt]
            self.server.asked[prompt] += 1
            self.server.bodies.append(body)
            self.server.keys.add(self.headers.get("authorization"))
            self.server.busy += 1
            self.server.busiest = max(self.server.busiest, self.server.busy)
        try:
            script = self.server.script(prompt)
            self.step(script[min(tries, len(script) - 1)], prompt)
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def step(self, step: str, prompt: str) -> None:
        if step == "hang":
            time.sleep(1.0)
            self.close_connection = True
        elif step == "torn":
            self.send_response(200)
            self.send_header("content-length", "100000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif step == "reset":
            self.close_connection = True
        elif step == "busy":
            self.reply(429, "later", {"retry-after": "1"})
        elif step == "nonsense":
            self.reply(200, "<html>bad gateway</html>")
        elif step == "empty":
            self.reply(200, json.dumps({"choices": []}))
        elif step.isdigit():
            self.reply(int(step), f"no luck with {step}", {"retry-after": "0.01"} if step == "429" else {})
        else:
            time.sleep(self.server.delay)
            self.answer(prompt, finish="length" if step == "cut" else "stop", extra=step == "wrong")
            with self.server.lock:
                self.server.answered[prompt] += 1

    def answer(self, prompt: str, finish: str, extra: bool) -> None:
        a, _, b = prompt.removeprefix("What is ").removesuffix("?").split(" ")
        message = {"content": f"\\boxed{{{int(a) + int(b) + extra}}}", "reasoning_content": f"I add {a} and {b}."}
        usage = {"prompt_tokens": 7, "completion_tokens": 11}
        choice = {"message": message, "finish_reason": finish}
        self.reply(200, json.dumps({"choices": [choice], "usage": usage}))

    def reply(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(text.encode())), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())


def _ask(server: Server, journal: Path, prompts: list[str], n: int = 1, **settings) -> list[list[Generation]]:
    config = Endpoint(url=server.url, model="m", **{"first_wait_s": 0.01, "timeout_s": 0.3, "retries": 8, **settings})

    async def ask():
        async with open_endpoint(config) as client:
            with open_journal(journal) as opened:
                teacher = RecordedTeacher(client, opened)
                return await asyncio.gather(*(
                    teacher.generate(f"r{index}", [{"role": "user", "content": prompt}], n, 5)
                    for index, prompt in enumerate(prompts)
                ))

    return asyncio.run(ask())


def test_every_passing_fault_is_survived(tmp_path):
    faults = ["429", "500", "503", "hang", "torn", "reset", "nonsense", "empty", "ok"]
    with Server(lambda prompt: faults) as server:
        answers = _ask(server, tmp_path / "journal", [f"What is {n} + 1?" for n in range(6)])
    for number, (answer,) in enumerate(answers):
        assert answer.text == f"<think>\nI add {number} and 1.\n</think>\n\\boxed{{{number + 1}}}"
        assert answer.finished and (answer.prompt_tokens, answer.completion_tokens) == (7, 11)
    assert set(server.asked.values()) == {len(faults)}


def test_concurrency_is_bounded_and_seeds_differ(tmp_path):
    with Server(delay=0.02) as server:
        _ask(server, tmp_path / "journal", [f"What is {n} + 1?" for n in range(10)], n=3, concurrency=4)
    assert server.busiest == 4
    assert Counter(body["seed"] for body in server.bodies) == {5: 10, 6: 10, 7: 10}


def test_a_refused_request_costs_itself_only(tmp_path):
    with Server(lambda prompt: ["400"] if "13" in prompt else ["ok"]) as server:
        answers = _ask(server, tmp_path / "journal", [f"What is {n} + 1?" for n in (12, 13, 14)])
    assert [bool(answer.refused) for (answer,) in answers] == [False, True, False]
    assert "400: no luck" in answers[1][0].refused and server.asked["What is 13 + 1?"] == 1


@pytest.mark.parametrize(("status", "tries"), [("401", 1), ("404", 1), ("500", 3)])
def test_a_failing_endpoint_stops_the_stage_with_the_reason(tmp_path, status, tries):
    with Server(lambda prompt: [status]) as server:
        with pytest.raises(TeacherError, match=rf"127.0.0.1.*{status}: no luck"):
            _ask(server, tmp_path / "journal", ["What is 1 + 1?"], retries=2)
        assert server.asked.total() == tries


def test_the_key_comes_from_the_environment_and_stays_out_of_files(tmp_path, monkeypatch):
    with Server() as server:
        with pytest.raises(ConfigError, match="TEACHER_KEY is not set"):
            _ask(server, tmp_path / "journal", ["What is 1 + 1?"], api_key_variable="TEACHER_KEY")
        monkeypatch.setenv("TEACHER_KEY", "hush-hush")
        _ask(server, tmp_path / "journal", ["What is 1 + 1?"], api_key_variable="TEACHER_KEY")
        assert server.keys == {"Bearer hush-hush"}
    assert "hush" not in (tmp_path / "journal").read_text()


def test_the_endpoint_says_how_long_to_wait(tmp_path):
    with Server(lambda prompt: ["busy", "ok"]) as server:
        start = time.monotonic()
        _ask(server, tmp_path / "journal", ["What is 1 + 1?"], first_wait_s=0.001)
        assert time.monotonic() - start >= 1
    now = datetime(2026, 11, 25, 8, 0, 0, tzinfo=UTC)
    asked = ["7", "1.5", "Wed, 25 Nov 2026 08:00:30 GMT", "Wed, 25 Nov 2026 07:00:00 GMT", "soon", "", "nan", "1e9"]
    assert [retry_after(value, now) for value in asked] == [7, 1.5, 30, 0, 0, 0, 0, 900]


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"choices": {}}', b'{"choices": [1]}', b'{"choices": [{"message": null}]}',
     b'{"choices": [{"message": {"content": ["part"]}}]}', b'{"choices": [{"message": {"content": "\\ud800"}}]}',
     b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}', b"[" * 100_000, b"\xff\xfe",
     b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}'],
)  # fmt: skip
def test_what_is_no_chat_completion_is_said_to_be_none(body):
    with pytest.raises(ValueError, match=r" in b"):
        read_completion(body)


def _put(journal: Journal, answers: dict[str, Generation]) -> None:
    async def put():
        await asyncio.gather(*(journal.put(name, answer) for name, answer in answers.items()))

    asyncio.run(put())


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_journal_line_is_asked_again(tmp_path, cut):
    path = tmp_path / "journal"
    with open_journal(path) as journal:
        _put(journal, {name: Generation(f"answer to {name}\nin two lines", prompt_tokens=3) for name in ("a", "b")})
    path.write_bytes(path.read_bytes()[:-cut])
    with open_journal(path) as journal:
        assert journal.get("a") == Generation("answer to a\nin two lines", prompt_tokens=3)
        assert journal.get("b") is None
        _put(journal, {"c": Generation("third")})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\0\0\0\n{}\n", *lines[1:]]))   # blocks that never reached the disk
    assert [Journal(path).get(name) is not None for name in "abc"] == [True, False, True]


CHILD = """
import json, sys
from components.runner import execute
execute("synthesis", *json.loads(sys.argv[1]))
"""


def _inputs(folder: Path, count: int) -> dict[str, str]:
    for name in ("documents", "problems"):
        (folder / name).mkdir(parents=True)
    write_parquet(folder / "documents/data", [], DOCUMENT_SCHEMA)
    rows = [MathProblem(id=f"p{n}", source="sums", prompt=f"What is {n} + 1?", answer=str(n + 1)) for n in range(count)]
    write_problems(folder / "problems/data", rows)
    for name in ("documents", "problems"):
        shard = describe_shard(folder / name, folder / name / "data")
        write_manifest(folder / name, kind=name, stage="test", shards=[shard], totals={}, config_digest="", parents={})
    return {name: str(folder / name) for name in ("documents", "problems")}


def test_of_several_answers_the_right_whole_and_different_are_kept_and_all_are_paid_for(tmp_path):
    count = 5
    with Server(lambda prompt: ["ok", "wrong", "ok", "cut"]) as server:
        endpoint = {"url": server.url, "model": "m", "concurrency": 1, "prices": {"completion": 1e6}}
        problems = {"conversations": count, "attempts": 4, "keep": 2}
        config = {"teacher": "endpoint", "endpoint": endpoint, "problems": problems}
        result = execute("synthesis", config, _inputs(tmp_path / "inputs", count), tmp_path / "store")
    totals = open_artifact(result.output("conversations")).manifest.totals
    rejected = {name: value for name, value in totals.items() if name.startswith("rejected_")}
    assert rejected == dict.fromkeys(("rejected_wrong", "rejected_near_duplicate", "rejected_truncated"), count)
    assert totals["kept"] == count and result.metrics["total_generations"] == 4 * count
    assert result.metrics["total_cost"] == 11 * 4 * count


def test_waits_grow_to_a_bound_and_never_fall_into_step(tmp_path):
    async def waits() -> list[list[float]]:
        async with open_endpoint(Endpoint(url="http://127.0.0.1:9/v1", model="m", first_wait_s=2.0)) as client:
            return [[client._wait(attempt) for _ in range(200)] for attempt in range(12)]

    for attempt, row in enumerate(asyncio.run(waits())):
        mean = min(60.0, 2.0 * 2**attempt)
        assert mean / 2 <= min(row) < 0.6 * mean and 1.4 * mean < max(row) <= 1.5 * mean


def _faults(prompt: str) -> list[str]:
    """By the number asked for: mostly fine, some slow to succeed, some cut off, some wrong, some refused."""
    number = int(prompt.split(" ")[2])
    return {3: ["429", "ok"], 4: ["500", "torn", "ok"], 5: ["cut"], 6: ["wrong"], 7: ["400"]}.get(number % 10, ["ok"])


def test_a_killed_stage_asks_only_for_what_it_had_not_received(tmp_path):
    count, concurrency = 120, 4
    inputs = _inputs(tmp_path / "inputs", count)

    def config(server: Server) -> dict:
        prices = {"prompt": 1000.0, "completion": 2000.0}
        endpoint = {"url": server.url, "model": "m", "concurrency": concurrency, "first_wait_s": 0.01, "prices": prices}
        return {"teacher": "endpoint", "endpoint": endpoint, "shard_requests": 50, "problems": {"conversations": count}}

    with Server(_faults, delay=0.01) as server:
        store = tmp_path / "killed"
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps([config(server), inputs, str(store)])], start_new_session=True
        )
        try:
            while server.answered.total() < 60:
                assert child.poll() is None, "the stage ended before it could be killed"
                time.sleep(0.005)
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        assert list(store.glob("synthesis/*.partial/work/conversations/*.journal.jsonl"))
        resumed = execute("synthesis", config(server), inputs, store)
        twice = [prompt for prompt, times in server.answered.items() if times > 1]
        assert len(twice) <= concurrency          # only what was in flight when it died
        whole = execute("synthesis", config(server), inputs, tmp_path / "whole")
    conversations = open_artifact(resumed.output("conversations"), "conversations")
    assert conversations.fingerprint == open_artifact(whole.output("conversations")).fingerprint
    totals = conversations.manifest.totals
    assert (totals["kept"], totals["rejected_truncated"], totals["rejected_wrong"], totals["rejected_refused"]) == (
        84, 12, 12, 12
    )
    assert totals["completion_tokens"] == 11 * (count - 12)
    assert resumed.metrics["total_cost"] == pytest.approx((7 * 1000 + 11 * 2000) * (count - 12) / 1e6)
    assert whole.metrics["endpoint_repeats"] == 0   # each prompt's faults were over
    assert "Tokens and cost" in resumed.report.read_text()
    assert {int(row["problem_id"][1:]) % 10 for row in read_documents(conversations)} == {0, 1, 2, 3, 4, 8, 9}
