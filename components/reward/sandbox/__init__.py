"""Runs programs nobody trusts. `SandboxPool` is the door; the other modules run inside the sandbox's own processes."""

from components.reward.sandbox.levels import LEVELS, SandboxError
from components.reward.sandbox.pool import Run, SandboxPool
from components.reward.sandbox.records import Execution, Limits

__all__ = ["LEVELS", "Execution", "Limits", "Run", "SandboxError", "SandboxPool"]
