"""The judge's process: starts the application and the pools, drains on SIGTERM.

    mimo judge serve --port 8300 --set slots=8
    python -m components.reward.service --port 8300          the same, in an image without the command line
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from components.config import ConfigError
from components.reward.sandbox import SandboxError
from components.reward.service.app import JudgeService, make_app
from components.reward.service.config import ServiceConfig

_log = logging.getLogger(__name__)
_DESCRIPTORS = 1 << 16        # as many connections as the machine allows; the sandbox closes this many in its children


def serve(config: ServiceConfig, host: str, port: int) -> int:
    """Run a judge until it is told to stop; returns the exit status: 0 drained, 1 work was left or none was possible.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = min(hard, _DESCRIPTORS) if hard != resource.RLIM_INFINITY else _DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    with _listen(host, port, config) as listener:
        return asyncio.run(_serve(config, listener))


def _listen(host: str, port: int, config: ServiceConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio sends at once (TCP_NODELAY) only where it is: else each verdict waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # inherited by connections: the kernel drops one whose peer takes nothing for so long
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(config.unread_s * 1000))
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose with --host and --port") from None
    return listener


class _Server(uvicorn.Server):
    """Leaves the first signal to the judge, which drains; the second one ends it at once."""

    def __init__(self, config: uvicorn.Config, service: JudgeService) -> None:
        super().__init__(config)
        self.service = service
        self.loop = asyncio.get_running_loop()
        self.stop = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.stop.is_set():
            self.should_exit = self.force_exit = True
            return
        _log.info("%s: draining; again to end at once", signal.Signals(sig).name)
        self.loop.call_soon_threadsafe(self.stop.set)


async def _serve(config: ServiceConfig, listener: socket.socket) -> int:
    service = JudgeService(config)
    server = _Server(uvicorn.Config(
        make_app(service), log_config=None, access_log=False, http="httptools", ws="none", lifespan="off", backlog=4096,
        timeout_keep_alive=75, timeout_graceful_shutdown=5, server_header=False,
    ), service)
    failures: list[BaseException] = []
    started = threading.Thread(target=_start_pools, args=(service, server, failures), daemon=True)
    life = asyncio.create_task(_until_drained(service, server, started))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    await server.serve(sockets=[listener])
    life.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await life
    for failure in failures:
        _log.error("%s", failure)
    unanswered = service.dispatcher.pending
    if unanswered or started.is_alive():
        if unanswered:
            _log.error("ended with %d items unanswered; their clients ask again elsewhere", unanswered)
        sys.stderr.flush()
        os._exit(1)                                  # the pools' threads are busy; their processes end with this one
    service.judge.close()
    return 1 if failures else 0


def _start_pools(service: JudgeService, server: _Server, failures: list[BaseException]) -> None:
    try:
        service.start_pools()
    except (SandboxError, RuntimeError, OSError) as error:
        failures.append(error)
        server.loop.call_soon_threadsafe(server.stop.set)
        return
    _log.info("ready: sandbox level %s, %d slots, %d math workers", service.level, service.config.slots,
              service.config.math_workers)
    for level, report in service.reports.items():
        _log.info("sandbox level %s: %s", level, report)


async def _until_drained(service: JudgeService, server: _Server, starter: threading.Thread) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    _log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    starter.start()
    await server.stop.wait()
    service.drain()
    try:
        await asyncio.wait_for(service.drained(), service.config.drain_s)
        _log.info("drained: all accepted work is answered")
    except TimeoutError:
        _log.error("not drained within drain_s (%g s)", service.config.drain_s)
    server.should_exit = True
