"""What goes into the sandbox beside a program, and what comes out: imported by all of its caller's side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "error", "timeout", "memory", "output_limit", "infrastructure"]


@dataclass(frozen=True)
class Limits:
    """What one test may use. `wall_s` is generous beside `cpu_s`, so that a busy machine changes no verdict."""

    cpu_s: float = 2.0
    wall_s: float = 8.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20       # of standard output, and of any file
    tasks: int = 64                   # threads (processes are denied)
    open_files: int = 64
    stack_bytes: int = 64 << 20
    scratch_bytes: int = 16 << 20
    scratch_files: int = 256


@dataclass(frozen=True)
class Execution:
    """One run of a program: how it ended, what it wrote (standard output, or the JSON result of a function)."""

    status: Status
    output: bytes = b""
    cpu_s: float = 0.0
    wall_s: float = 0.0
