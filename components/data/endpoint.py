"""A teacher behind an OpenAI-compatible chat endpoint (`vllm serve`, SGLang, hosted APIs).

Requests run concurrently up to a bound. What may pass is repeated with growing, jittered waits; what is wrong with one
request costs that request; what is wrong with the endpoint stops the stage. Every answer goes to a journal before it
is used, so a killed stage asks again only for answers that it had not received.

- `open_endpoint`     connections to an endpoint
- `Journal`           answers received so far, on disk
- `RecordedTeacher`   an endpoint whose answers go to a journal
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from components.config import ConfigError
from components.data.endpoint_config import Endpoint
from components.data.teacher import Generation, Message, TeacherError

REPEATED = frozenset({408, 409, 425, 429})   # and every 5xx
OWN_FAULT = frozenset({400, 413, 422})       # too long, or refused by the endpoint: the request's own fault
LONGEST_WAIT_S = 60.0                        # between repeats, unless the endpoint asks for more
LONGEST_REQUESTED_WAIT_S = 900.0
Answer = TypeVar("Answer")


class RefusedError(Exception):
    """The endpoint will not answer this request: too long, or nothing it understands."""


class Journal:
    """Answers received so far: an append-only file, one JSON line an answer.

    What a kill or a lost disk block left unreadable is asked again. Answers that arrive while others are being written
    go to disk together, so that `fsync` does not bound how many arrive in a second.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._answers: dict[str, Generation] = {}
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                try:
                    record = json.loads(line)
                    request = record.pop("request")
                    self._answers[request] = Generation(**record)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
        self._file = path.open("ab")
        self._file.truncate(whole)

    def get(self, request: str) -> Generation | None:
        return self._answers.get(request)

    async def put(self, request: str, generation: Generation) -> None:
        """Returns when the answer is on disk.

        Raises:
            OSError: it could not be written.
        """
        line = json.dumps({"request": request, **asdict(generation)}).encode() + b"\n"
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await done
        self._answers[request] = generation

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, b"".join(line for line, _ in batch))
            except OSError as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    def _write(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what still waits (of requests cancelled meanwhile) and close."""
        if self._waiting:
            self._write(b"".join(line for line, _ in self._waiting))
        self._file.close()


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    try:
        yield journal
    finally:
        journal.close()


class EndpointClient:
    """Connections to an endpoint; make one with `open_endpoint`.

    Attributes:
        free: held from before a request is sent until its answer is safe: at most so many answers are lost by a kill.
        repeats: counts repeated requests.
    """

    def __init__(self, config: Endpoint, client: httpx.AsyncClient) -> None:
        self._config = config
        self._client = client
        self.free = asyncio.Semaphore(config.concurrency)
        self.repeats = 0

    async def complete(self, messages: Sequence[Message], seed: int) -> Generation:
        """One answer, asked for until it comes; the caller holds `free`.

        Raises:
            TeacherError: see `Teacher.generate`.
        """
        body = {
            "model": self._config.model,
            "messages": list(messages),
            "temperature": self._config.temperature,
            "top_p": self._config.top_p,
            "max_tokens": self._config.max_tokens,
            "seed": seed % 2**31,
        }
        try:
            return await self.post("chat/completions", body, read_completion)
        except RefusedError as error:
            return Generation("", refused=str(error))

    async def post(self, path: str, body: dict[str, Any], read: Callable[[bytes], Answer]) -> Answer:
        """Ask `path` below the endpoint's URL until `read` can make something of the answer; the caller holds `free`.

        Args:
            read: raises ValueError for what is no answer, which then is asked for again.

        Raises:
            RefusedError: the endpoint will not answer this request, however often it is asked.
            TeacherError: the endpoint cannot be used, or failed too often.
        """
        problem = ""
        for attempt in range(self._config.retries + 1):
            least_wait = 0.0
            try:
                response = await self._client.post(path, json=body)
                if response.status_code == 200:
                    return read(response.content)
                problem = f"{response.status_code}: {response.text[:300]}"
                if response.status_code in OWN_FAULT:
                    raise RefusedError(problem)
                if response.status_code not in REPEATED and response.status_code < 500:
                    raise TeacherError(f"endpoint {self._config.url} answers {problem}")
                least_wait = retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem = f"{type(error).__name__}: {error}"
            except ValueError as error:
                problem = f"an answer that is none: {error}"
            if attempt < self._config.retries:
                self.repeats += 1
                await asyncio.sleep(least_wait + self._wait(attempt))
        raise TeacherError(
            f"endpoint {self._config.url}: gave up after {self._config.retries + 1} tries, "
            f"the last ended with {problem}; answers received so far are kept"
        )

    def _wait(self, attempt: int) -> float:
        """Doubles each time; jitter keeps many waiting requests from returning together."""
        return min(LONGEST_WAIT_S, self._config.first_wait_s * 2**attempt) * random.uniform(0.5, 1.5)


class RecordedTeacher:
    """A `Teacher`: an endpoint whose answers go to a journal. Each of `n` answers is a request with its own seed."""

    def __init__(self, client: EndpointClient, journal: Journal) -> None:
        self._client = client
        self._journal = journal

    async def generate(self, request: str, messages: Sequence[Message], n: int, seed: int) -> list[Generation]:
        """See `Teacher.generate`."""
        return await asyncio.gather(*(self._one(f"{request}/{k}", messages, seed + k) for k in range(n)))

    async def _one(self, request: str, messages: Sequence[Message], seed: int) -> Generation:
        known = self._journal.get(request)
        if known is not None:
            return known
        async with self._client.free:
            generation = await self._client.complete(messages, seed)
            await self._journal.put(request, generation)
        return generation


@asynccontextmanager
async def open_endpoint(config: Endpoint) -> AsyncIterator[EndpointClient]:
    """Connections to an endpoint.

    Raises:
        ConfigError: the variable that should hold the key is not set.
    """
    headers = {}
    if config.api_key_variable:
        key = os.environ.get(config.api_key_variable)
        if not key:
            raise ConfigError(f"endpoint: the environment variable {config.api_key_variable} is not set")
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency)
    base_url = config.url.rstrip("/") + "/"
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=config.timeout_s, limits=limits) as client:
        yield EndpointClient(config, client)


def read_completion(body: bytes) -> Generation:
    """Read a chat completion; thoughts come inline or as `reasoning_content` / `reasoning`.

    Raises:
        ValueError: it is none.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        content = _text(message, "content")
        thought = _text(message, "reasoning_content") or _text(message, "reasoning")
        usage = answer.get("usage") or {}
        tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        reason = choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {body[:300]!r}") from None
    if thought:
        content = f"<think>\n{thought.strip()}\n</think>\n{content.strip()}"
    elif "</think>" in content and "<think>" not in content:
        content = "<think>\n" + content   # chat templates that open the thought in the prompt
    return Generation(
        text=content.strip(),
        finished=reason == "stop",
        refused="content filter" if reason == "content_filter" else "",
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
    )


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    value.encode()   # half a surrogate pair could not be written down
    return value


def retry_after(value: str, now: datetime) -> float:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3); 0 for anything else."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - now).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_REQUESTED_WAIT_S) if seconds == seconds else 0.0
