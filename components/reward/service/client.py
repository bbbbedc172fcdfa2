"""A judge behind a URL, asked through the same interface as the pools of this process.

Items are sent in batches that form by themselves: what was submitted while a request was being prepared goes with the
next one. Verdicts come back one by one. What the client does when things go wrong:

- nobody answers, the connection breaks, 503: asks again until `patience_s` have passed, then `infrastructure`
- 429: asks again when told to; a busy judge is not a broken one
- an item's verdict is `infrastructure`, or its reply broke off: asks again a few times, then `infrastructure`
- the judge refuses an item (too large, limits beyond its own, other rules): `JudgeError`; asking again would not help

A verdict is only ever one that a judge gave. Nothing is judged here instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import httpx

from components.problems import CodeProblem
from components.reward import code, math
from components.reward.sandbox import Limits
from components.reward.service.rules import rules, rules_digest

_REQUESTS = 64                # at the same time
_BATCH_BYTES = 4 << 20
_TRIES = 4                    # of an item whose reply broke off, or which could not be judged
_GATHER_S = 0.002
_LONGEST_PAUSE_S = 5.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0, pool=None)       # the judge sends something every 5 seconds
_MATH_KINDS, _TEST_KINDS = frozenset(get_args(math.Kind)), frozenset(get_args(code.TestKind))
_INFRASTRUCTURE: dict[str, Any] = {"kind": "infrastructure"}
_log = logging.getLogger(__name__)


class JudgeError(RuntimeError):
    """A judge that cannot be used, or refuses what it is asked; the message says what to change."""


class _BrokenReplyError(Exception):
    """The reply ended early, or is none."""


@dataclass
class _Item:
    body: bytes
    read: Callable[[dict[str, Any]], Any]     # an outcome -> a verdict; raises _BrokenReplyError if it is none
    future: Future[Any] = field(default_factory=Future)
    tries: int = 0
    alone: bool = False                       # the batch it was in was refused


class JudgeClient:
    """Verdicts from the judge at `url`.

    Args:
        url: `http://host:port`.
        priority: of this client's items at the judge; higher goes first.
        patience_s: seconds without a sign of life until items are answered with `infrastructure`.

    Raises:
        JudgeError: no judge is ready at `url` within `patience_s`, or it judges by other rules than this code.
    """

    def __init__(self, url: str, priority: int = 0, patience_s: float = 300.0) -> None:
        self._url, self._priority, self._patience_s = url.rstrip("/"), priority, patience_s
        about = self._wait_until_ready()
        self._check_rules(about)
        self._batch_items, self._request_bytes = int(about["batch_items"]), int(about["request_bytes"])
        self._waiting: deque[_Item] = deque()
        self._lost_since: float | None = None
        self._pause_until, self._pause_s = 0.0, 0.1
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._work(),), daemon=True,
                                        name="judge-client")
        self._thread.start()

    def compare(self, gold: str, completion: str) -> Future[math.Verdict]:
        """The verdict on the boxed answer of `completion`, later."""
        body = {"kind": "math", "gold": gold, "completion": completion[-math.TAIL :]}
        return self._submit(_Item(json.dumps(body).encode(), _read_math))

    def run(self, program: str, problem: CodeProblem, limits: Limits) -> Future[code.CodeVerdict]:
        """The verdict on `program`, later."""
        granted = asdict(limits)
        body = {
            "kind": "code", "program": program, "problem": problem.model_dump(exclude={"golden"}),
            "limits": {name: granted[name] for name in ("cpu_s", "wall_s", "memory_bytes", "output_bytes")},
        }
        tests = len(problem.tests)
        return self._submit(_Item(json.dumps(body).encode(), lambda outcome: _read_code(outcome, tests)))

    def close(self) -> None:
        """Wait for everything that was submitted, then let go of the connections. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._loop.call_soon_threadsafe(self._wake.set)
            self._thread.join()
            self._loop.close()

    def _submit(self, item: _Item) -> Future[Any]:
        if self._closed:
            raise RuntimeError("the judge's client is closed")
        item.future.set_running_or_notify_cancel()
        if len(item.body) + 256 > self._request_bytes:
            item.future.set_exception(JudgeError(
                f"an item of {len(item.body)} bytes is more than the judge at {self._url} takes in one request "
                f"({self._request_bytes}): start it with a larger request_mb"
            ))
            return item.future
        self._waiting.append(item)
        self._loop.call_soon_threadsafe(self._wake.set)
        return item.future

    # --- the start ---

    def _wait_until_ready(self) -> dict[str, Any]:
        deadline, pause = time.monotonic() + self._patience_s, 0.1
        while True:
            found, hopeful = "", True
            try:
                ready = httpx.get(f"{self._url}/readyz", timeout=5.0)
                about = httpx.get(f"{self._url}/v1/about", timeout=5.0) if ready.status_code == 200 else ready
                if about.status_code == 200:
                    return {name: about.json()[name] for name in ("rules", "batch_items", "request_bytes")}
                found = f"it answers {about.status_code}: {about.text[:200]}"
                hopeful = about.status_code in (502, 503, 504)
            except (ValueError, KeyError, TypeError) as error:
                found, hopeful = f"what answers there is no judge ({error!r})", False
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                found, hopeful = str(error), False
            except httpx.HTTPError as error:
                found = str(error) or type(error).__name__
            if not hopeful or time.monotonic() + pause > deadline:
                raise JudgeError(
                    f"no judge is ready at {self._url} (reward.judge_url): {found}. Start one with `mimo judge serve`, "
                    "correct the URL, or leave judge_url empty to judge in the stage's own process"
                )
            if pause == 0.1:
                _log.warning("waiting up to %g s for the judge at %s: %s", self._patience_s, self._url, found)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _check_rules(self, about: dict[str, Any]) -> None:
        ours, theirs = rules(), about["rules"]
        differing = [f"{name} here {ours.get(name)}, there {theirs.get(name)}"
                     for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
        if differing:
            raise JudgeError(
                f"the judge at {self._url} judges by other rules than this code, so results would depend on where they "
                f"are judged: {'; '.join(differing)}. Start it from the same version of this project and its lock file"
            )

    # --- the client's own thread, from here on ---

    async def _work(self) -> None:
        room = asyncio.Semaphore(_REQUESTS)
        running: set[asyncio.Task[None]] = set()
        limits = httpx.Limits(max_connections=_REQUESTS, max_keepalive_connections=_REQUESTS)
        async with httpx.AsyncClient(timeout=_TIMEOUT, limits=limits) as http:
            while True:
                if not self._waiting:
                    if self._closed and not running:
                        return
                    self._wake.clear()
                    if not self._waiting:            # nothing came between the two lines above
                        await self._wake.wait()
                    continue
                await asyncio.sleep(_GATHER_S)
                await self._until_allowed()
                await room.acquire()
                task = asyncio.create_task(self._ask(http, self._take()))
                running.add(task)

                def ended(task: asyncio.Task[None]) -> None:
                    running.discard(task)
                    room.release()
                    self._wake.set()

                task.add_done_callback(ended)

    async def _until_allowed(self) -> None:
        """Wait for the end of a pause, or for a reply to come to its end: then there is room at the judge."""
        while (seconds := self._pause_until - time.monotonic()) > 0:
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), seconds)

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 256
        while self._waiting and len(batch) < self._batch_items:
            size += len(self._waiting[0].body) + 1
            if batch and (self._waiting[0].alone or batch[0].alone or size > min(_BATCH_BYTES, self._request_bytes)):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _ask(self, http: httpx.AsyncClient, batch: list[_Item]) -> None:
        """Send a batch once. Items it brings no verdict for go back to those that wait, or are given up."""
        left = dict(enumerate(batch))
        head = json.dumps({"priority": self._priority, "rules": rules_digest()})[:-1] + ', "items": ['
        body = head.encode() + b",".join(item.body for item in batch) + b"]}"
        began = False
        try:
            async with http.stream("POST", f"{self._url}/v1/verdicts", content=body,
                                   headers={"Content-Type": "application/json"}) as response:
                if response.status_code == 200:
                    began = True
                    async for line in response.aiter_lines():
                        self._alive()
                        if line:
                            self._receive(line, left)
                    if left:
                        raise _BrokenReplyError("the reply ended early")
                    self._pause_until = 0.0
                    self._room.set()
                else:
                    await self._refused(response, list(left.values()))
        except (httpx.TransportError, _BrokenReplyError) as error:
            self._broken(error, list(left.values()), began)
        except Exception as error:                   # a bug of ours must reach those who wait
            for item in left.values():
                item.future.set_exception(error)

    def _receive(self, line: str, left: dict[int, _Item]) -> None:
        try:
            outcome = json.loads(line)
            item = left[outcome["index"]]
            verdict = item.read(outcome)
        except (ValueError, KeyError, TypeError) as error:
            raise _BrokenReplyError(f"not a verdict on what was asked: {line[:200]}") from error
        del left[outcome["index"]]
        if outcome["kind"] == "infrastructure":
            self._again(item)
        else:
            item.future.set_result(verdict)

    async def _refused(self, response: httpx.Response, items: list[_Item]) -> None:
        text = (await response.aread()).decode(errors="replace")
        status = response.status_code
        if status == 429:
            self._alive()
            self._pause(_seconds(response))
            self._waiting.extendleft(reversed(items))
        elif status in (408, 425) or status >= 500:
            self._lost(f"it answers {status}: {text[:200]}", items, _seconds(response))
        elif status in (400, 413, 422) and len(items) > 1:
            self._alive()
            for item in items:                       # only one of them need be wrong
                item.alone = True
            self._waiting.extendleft(reversed(items))
        else:
            self._alive()
            for item in items:
                item.future.set_exception(JudgeError(f"the judge at {self._url} refuses ({status}): {text[:2000]}"))

    def _broken(self, error: Exception, items: list[_Item], began: bool) -> None:
        """A connection that could not be had, or broke. Only what the judge had begun counts against the items."""
        if began:
            for item in items:
                item.tries += 1
            given_up = [item for item in items if item.tries >= _TRIES]
            items = [item for item in items if item.tries < _TRIES]
            self._give_up(given_up, f"{_TRIES} replies broke off, the last one: {error!r}")
        self._lost(repr(error), items, 0.0)

    def _lost(self, what: str, items: list[_Item], seconds: float) -> None:
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            _log.warning("the judge at %s is lost: %s; asking again for %g s", self._url, what, self._patience_s)
        if now - self._lost_since > self._patience_s:
            self._give_up(items, f"no judge for {self._patience_s:g} s: {what}")
            return
        self._pause(max(seconds, self._pause_s))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._waiting.extendleft(reversed(items))

    def _again(self, item: _Item) -> None:
        item.tries += 1
        if item.tries >= _TRIES:
            self._give_up([item], f"it could not be judged in {_TRIES} tries")
        else:
            self._waiting.append(item)

    def _give_up(self, items: list[_Item], why: str) -> None:
        if items:
            _log.error("%d items are masked: %s", len(items), why)
        for item in items:
            item.future.set_result(item.read(_INFRASTRUCTURE))

    def _alive(self) -> None:
        self._lost_since, self._pause_s = None, 0.1

    def _pause(self, seconds: float) -> None:
        """Let all requests wait; not all clients for the same time."""
        until = time.monotonic() + min(seconds, 30.0) * random.uniform(0.75, 1.25)
        self._pause_until = max(self._pause_until, until)


def _seconds(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 1.0


def _read_math(outcome: dict[str, Any]) -> math.Verdict:
    if outcome["kind"] not in _MATH_KINDS:
        raise ValueError(outcome["kind"])
    return math.Verdict(outcome["kind"])


def _read_code(outcome: dict[str, Any], tests: int) -> code.CodeVerdict:
    kinds = outcome.get("tests") or []
    if outcome["kind"] == "infrastructure" and not kinds:
        kinds = ["infrastructure"] * tests
    if len(kinds) != tests or not _TEST_KINDS.issuperset(kinds):
        raise ValueError(f"{len(kinds)} verdicts for {tests} tests")
    return code.CodeVerdict(tuple(kinds))
