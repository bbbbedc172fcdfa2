"""Runs programs nobody trusts. `SandboxPool` is the door; the other modules run inside the sandbox's own processes."""

from components.reward.sandbox.pool import (
    LEVELS,
    Execution,
    Limits,
    SandboxError,
    SandboxPool,
)

__all__ = ["LEVELS", "Execution", "Limits", "SandboxError", "SandboxPool"]
