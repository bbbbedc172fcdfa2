"""A teacher behind an OpenAI-compatible chat endpoint (`vllm serve`, SGLang, hosted APIs).

Requests run concurrently up to a bound. What may pass is repeated with growing, jittered waits; what is wrong with one
request costs that request; what is wrong with the endpoint stops the stage. Every answer goes to a journal before it
is used, so a killed stage asks again only for answers that it had not received.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from components.config import ConfigError
from components.data.synthesis.config import Endpoint
from components.data.synthesis.teacher import Generation, Message, TeacherError

REPEATED = frozenset({408, 409, 425, 429})   # and every 5xx
OWN_FAULT = frozenset({400, 413, 422})       # too long, or refused by the endpoint: the request's own fault
LONGEST_WAIT_S = 60.0


class Journal:
    """Answers received so far: an append-only file, one JSON line an answer; a torn last line is dropped."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._answers: dict[str, Generation] = {}
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                record = json.loads(line)
                request = record.pop("request")
                self._answers[request] = Generation(**record)
                whole += len(line)
        self._file = path.open("ab")
        self._file.truncate(whole)

    def get(self, request: str) -> Generation | None:
        return self._answers.get(request)

    def put(self, request: str, generation: Generation) -> None:
        """Returns when the answer is on disk."""
        self._answers[request] = generation
        self._file.write(json.dumps({"request": request, **asdict(generation)}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class EndpointTeacher:
    """See the module; make one with `open_endpoint`."""

    def __init__(self, config: Endpoint, client: httpx.AsyncClient, journal: Journal) -> None:
        self._config = config
        self._client = client
        self._journal = journal
        self._free = asyncio.Semaphore(config.concurrency)
        self.repeats = 0

    async def generate(self, request: str, messages: Sequence[Message], n: int, seed: int) -> list[Generation]:
        """See `Teacher.generate`; each of the `n` answers is a request of its own with its own seed."""
        return await asyncio.gather(*(self._one(f"{request}/{k}", messages, seed + k) for k in range(n)))

    async def _one(self, request: str, messages: Sequence[Message], seed: int) -> Generation:
        known = self._journal.get(request)
        if known is not None:
            return known
        body = {
            "model": self._config.model,
            "messages": list(messages),
            "temperature": self._config.temperature,
            "top_p": self._config.top_p,
            "max_tokens": self._config.max_tokens,
            "seed": seed % 2**31,
        }
        async with self._free:
            generation = await self._ask(body)
        self._journal.put(request, generation)
        return generation

    async def _ask(self, body: dict[str, Any]) -> Generation:
        problem = ""
        for attempt in range(self._config.retries + 1):
            least_wait = 0.0
            try:
                response = await self._client.post("chat/completions", json=body)
                if response.status_code == 200:
                    return _generation(response.json())
                problem = f"{response.status_code}: {response.text[:300]}"
                if response.status_code in OWN_FAULT:
                    return Generation("", refused=problem)
                if response.status_code not in REPEATED and response.status_code < 500:
                    raise TeacherError(f"synthesis.endpoint {self._config.url} answers {problem}")
                least_wait = _retry_after(response)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            except ValueError as error:
                problem = f"an answer that is no chat completion: {error}"
            if attempt < self._config.retries:
                self.repeats += 1
                await asyncio.sleep(max(least_wait, self._wait(attempt)))
        raise TeacherError(
            f"synthesis.endpoint {self._config.url}: gave up after {self._config.retries + 1} tries, "
            f"the last ended with {problem}; answers received so far are kept"
        )

    def _wait(self, attempt: int) -> float:
        """Doubles each time; jitter keeps many waiting requests from returning together."""
        return min(LONGEST_WAIT_S, self._config.first_wait_s * 2**attempt) * random.uniform(0.5, 1.5)


@asynccontextmanager
async def open_endpoint(config: Endpoint, journal_path: Path) -> AsyncIterator[EndpointTeacher]:
    """Connections and journal of an endpoint teacher.

    Raises:
        ConfigError: the variable that should hold the key is not set.
    """
    headers = {}
    if config.api_key_variable:
        key = os.environ.get(config.api_key_variable)
        if not key:
            raise ConfigError(f"synthesis.endpoint: the environment variable {config.api_key_variable} is not set")
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx.Limits(max_connections=config.concurrency, max_keepalive_connections=config.concurrency)
    base_url = config.url.rstrip("/") + "/"
    journal = Journal(journal_path)
    try:
        async with httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=config.timeout_s, limits=limits
        ) as client:
            yield EndpointTeacher(config, client, journal)
    finally:
        journal.close()


def _generation(answer: Any) -> Generation:
    """Read a chat completion; thoughts come inline or as `reasoning_content` / `reasoning`.

    Raises:
        ValueError: it is none.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        usage = answer.get("usage") or {}
        reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {json.dumps(answer)[:300]}") from None
    if thought:
        content = f"<think>\n{thought.strip()}\n</think>\n{content.strip()}"
    elif "</think>" in content and "<think>" not in content:
        content = "<think>\n" + content   # chat templates that open the thought in the prompt
    return Generation(
        text=content.strip(),
        finished=reason == "stop",
        refused="content filter" if reason == "content_filter" else "",
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT_S) if value.replace(".", "", 1).isdigit() else 0.0
