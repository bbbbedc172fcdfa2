"""The HTTP interface of a judge.

    POST /v1/verdicts   judge a batch; one JSON line per item, as it is decided
    GET  /v1/about      what this judge is and takes
    GET  /healthz       the process answers
    GET  /readyz        work is accepted: the sandbox's self-test has reached the configured level
    GET  /metrics       for Prometheus
    GET  /openapi.json  all of this, as OpenAPI
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException

from components.reward.judges import LocalJudge
from components.reward.sandbox import Limits
from components.reward.service.config import ServiceConfig
from components.reward.service.dispatch import Accepted, Dispatcher, QueueFullError
from components.reward.service.metrics import Metrics
from components.reward.service.rules import rules, rules_digest
from components.reward.service.schema import About, Batch, CodeItem, Refusal, Status

HEARTBEAT_S = 5.0             # an empty line when nothing else is to be said, so that both sides notice a lost peer
_STARTING_AGAIN_S = 5
_SUBMIT = "/v1/verdicts"


class JudgeService:
    """One judge's state: the pools, the queue, and whether work is accepted."""

    def __init__(self, config: ServiceConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self.judge = LocalJudge(config.slots, config.math_workers, config.minimum_level)
        self.dispatcher = Dispatcher(self.judge, config, self.metrics)
        self.started = self.draining = False
        self.request_bytes = self.replying = 0
        self.level = ""
        self.reports: dict[str, str] = {}

    @property
    def status(self) -> str:
        return "draining" if self.draining else "ready" if self.started else "starting"

    def start_pools(self) -> None:
        """Start both pools and try them. Blocks for seconds; run it in a thread.

        Raises:
            SandboxError: this machine grants no sandbox of the minimum level; says what to change.
            RuntimeError: formulas cannot be compared.
        """
        sandbox = self.judge.sandbox_pool()          # its self-test runs here
        verdict = self.judge.compare("x+1", "\\boxed{1+x}").result()
        if verdict.kind != "correct":
            raise RuntimeError(f"comparing formulas does not work here: x+1 and 1+x gave {verdict.kind}")
        self.level, self.reports = sandbox.level, dict(sandbox.reports)
        self.metrics.slots.labels(self.level).set(self.config.slots)
        self.started = True
        self.metrics.ready.set(1)

    def drain(self) -> None:
        """Accept nothing more."""
        self.draining = True
        self.metrics.ready.set(0)

    async def drained(self) -> None:
        """Wait until all that was accepted is answered, replies included."""
        await self.dispatcher.idle()
        while self.replying:
            await asyncio.sleep(0.02)

    def about(self) -> About:
        return About(
            level=self.level, reports=self.reports, slots=self.config.slots, math_workers=self.config.math_workers,
            batch_items=self.config.batch_items, request_bytes=self.config.request_mb << 20, rules=rules(),
            rules_digest=rules_digest(),
        )


class Admission:
    """ASGI middleware: refuses work before its body is read, and bodies that are too large or too slow."""

    def __init__(self, app: Callable[..., Awaitable[None]], service: JudgeService) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self._app(scope, receive, send)
        service, config = self._service, self._service.config
        most = config.request_mb << 20
        length = next((int(value) for name, value in scope["headers"] if name == b"content-length"), most)
        refusal = self._refusal(length)
        if refusal is not None:
            service.metrics.refused.labels(str(refusal.status_code)).inc()
            return await refusal(scope, receive, send)
        deadline, arrived, complete = time.monotonic() + config.request_s, 0, False

        async def bounded_receive() -> Any:
            nonlocal arrived, complete
            if complete:
                return await receive()               # the client going away
            try:
                message = await asyncio.wait_for(receive(), deadline - time.monotonic())
            except TimeoutError:
                raise HTTPException(408, f"request: did not arrive whole within {config.request_s:g} s "
                                    "(request_s)", {"Connection": "close"}) from None
            arrived += len(message.get("body", b""))
            if arrived > most:
                raise HTTPException(413, _too_large(arrived, most), {"Connection": "close"})
            complete = not message.get("more_body", False)
            return message

        service.request_bytes += length
        service.metrics.request_bytes.set(service.request_bytes)
        try:
            await self._app(scope, bounded_receive, send)
        finally:
            service.request_bytes -= length
            service.metrics.request_bytes.set(service.request_bytes)

    def _refusal(self, length: int) -> Response | None:
        service, config = self._service, self._service.config
        if service.status != "ready":
            return _refuse(503, [f"judge: {service.status}, no new work is accepted here"], _STARTING_AGAIN_S)
        if length > config.request_mb << 20:
            return _refuse(413, [_too_large(length, config.request_mb << 20)])
        if service.request_bytes + length > config.queue_mb << 20:
            return _refuse(429, ["judge: too many bytes of requests are waiting for verdicts (queue_mb)"],
                           service.dispatcher.retry_after_s())
        return None


def _too_large(size: int, most: int) -> str:
    return f"request: {size} bytes are more than the {most} that one request may have (request_mb): send fewer items"


def _refuse(status: int, errors: list[str], retry_after_s: int | None = None) -> JSONResponse:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return JSONResponse(Refusal(errors=errors).model_dump(), status, headers)


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    texts = {
        400: "the body cannot be read", 408: "the request took too long to arrive",
        409: "the client expects other rules than this judge's", 413: "the request is too large",
        422: "a field is wrong: each error begins with the field's path",
        429: "no room: try again after Retry-After", 503: "starting or draining: try again after Retry-After",
    }
    again = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return {
        code: {"model": Refusal, "description": texts[code], **({"headers": again} if code in (429, 503) else {})}
        for code in codes
    }


_LINES = {"description": "JSON lines, one `Outcome` per item in the order they are decided, and empty lines to keep "
                         "the connection alive. A reply that ends before every item has its line was cut off.",
          "content": {"application/x-ndjson": {"schema": {"$ref": "#/components/schemas/Outcome"}}}}


def make_app(service: JudgeService) -> FastAPI:
    """The application around a service."""
    app = FastAPI(
        title="MiMo judge", version=rules_digest(), docs_url=None, redoc_url=None,   # those pages load from elsewhere
        description="Verdicts on mathematical answers and on programs nobody trusts.",
    )
    app.add_middleware(Admission, service=service)

    @app.post(_SUBMIT, response_class=StreamingResponse,
              responses={200: _LINES, **_refusals(400, 408, 409, 413, 422, 429, 503)})
    async def judge_batch(batch: Batch) -> StreamingResponse:
        """Judge a batch of items. Accepted or refused as a whole; what is accepted is answered, one line an item."""
        _check(batch, service.config)
        if service.draining:                             # since this request was let in
            raise HTTPException(503, "judge: draining, no new work is accepted here", _again(_STARTING_AGAIN_S))
        try:
            work = service.dispatcher.accept(batch.items, batch.priority)
        except QueueFullError as full:
            raise HTTPException(429, f"judge: {full} (queue_items)", _again(full.retry_after_s)) from None
        return StreamingResponse(_lines(service, work), media_type="application/x-ndjson")

    @app.get("/v1/about", responses=_refusals(503))
    async def about() -> About:
        """What this judge is and takes, once it is ready."""
        if not service.started:
            raise HTTPException(503, "judge: starting", _again(_STARTING_AGAIN_S))
        return service.about()

    @app.get("/healthz")
    async def alive() -> Status:
        """The process answers."""
        return Status(status="alive")

    @app.get("/readyz", responses={503: {"model": Status, "description": "starting or draining"}})
    async def ready(response: Response) -> Status:
        """Whether work is accepted: the sandbox's self-test has reached the configured level, and no drain began."""
        response.status_code = 200 if service.status == "ready" else 503
        return Status(status=service.status)             # type: ignore[arg-type]

    @app.get("/metrics", response_class=Response,
             responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        service.metrics.refused.labels("422").inc()
        return _refuse(422, [_describe(item) for item in error.errors()[:10]])

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        if request.url.path == _SUBMIT:
            service.metrics.refused.labels(str(error.status_code)).inc()
        # what the framework says where the JSON reader gives up (depth, length of numbers, bytes that are no UTF-8)
        text = "body: cannot be read as JSON" if error.status_code == 400 else str(error.detail)
        return JSONResponse(Refusal(errors=[text]).model_dump(), error.status_code, error.headers)

    return app


def _again(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _check(batch: Batch, config: ServiceConfig) -> None:
    """This server's own bounds.

    Raises:
        HTTPException: 409 or 422, with the field.
    """
    if batch.rules and batch.rules != rules_digest():
        raise HTTPException(409, f"rules: {batch.rules} expected, this judge has {rules_digest()}: {rules()}")
    if len(batch.items) > config.batch_items:
        raise HTTPException(422, f"items: {len(batch.items)} are more than {config.batch_items} (batch_items)")
    for index, item in enumerate(batch.items):
        if isinstance(item, CodeItem):
            problem = _beyond(item.limits.limits(), len(item.problem.tests), config)
            if problem:
                raise HTTPException(422, f"items.{index}.{problem}")


def _beyond(limits: Limits, tests: int, config: ServiceConfig) -> str:
    if tests > config.tests:
        return f"problem.tests: {tests} are more than {config.tests} (tests)"
    if limits.cpu_s > config.cpu_s:
        return f"limits.cpu_s: {limits.cpu_s:g} is more than {config.cpu_s:g} (cpu_s)"
    if limits.wall_s > config.wall_s:
        return f"limits.wall_s: {limits.wall_s:g} is more than {config.wall_s:g} (wall_s)"
    if limits.memory_bytes > config.memory_mb << 20:
        return f"limits.memory_bytes: {limits.memory_bytes} is more than {config.memory_mb << 20} (memory_mb)"
    return ""


def _describe(error: Any) -> str:
    """`items.3.problem.tests.0.input: Input should be a valid string`; never the input itself, which may be huge."""
    if error["type"] == "json_invalid":
        return f"body: not JSON: {error['ctx']['error']} at character {error['loc'][-1]}"
    parts = [str(part) for part in error["loc"][1:]]
    path = ".".join(part for place, part in enumerate(parts) if not (place == 2 and part in ("math", "code")))
    where = path or "body (a JSON object, sent as Content-Type: application/json)"
    return f"{where}: {error['msg']}"


async def _lines(service: JudgeService, work: Accepted) -> AsyncIterator[bytes]:
    """The outcomes as they come. Ends early only by being closed, when the client has gone away."""
    service.replying += 1
    try:
        left = len(work.tickets)
        while left:
            outcomes = await work.next_outcomes(HEARTBEAT_S)
            left -= len(outcomes)
            yield b"".join(outcome.model_dump_json().encode() + b"\n" for outcome in outcomes) or b"\n"
    finally:
        service.replying -= 1
        service.dispatcher.abandon(work)
