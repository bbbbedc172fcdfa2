"""Where a teacher is and what it costs. Imports no HTTP client."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Prices(StageConfig):
    """What the endpoint charges; for a server of one's own, what its GPUs cost for as many tokens."""

    prompt: float = Field(default=0.0, ge=0, description="for a million prompt tokens")
    completion: float = Field(default=0.0, ge=0, description="for a million tokens of answers, thoughts included")
    currency: str = Field(default="USD", description="of the prices; a name for the report")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Endpoint(StageConfig):
    """An OpenAI-compatible chat endpoint; `vllm serve` offers one."""

    url: str = Field(pattern=r"^https?://", description="base URL, up to and with /v1")
    model: str = Field(min_length=1, description="model name as the endpoint knows it")
    api_key_variable: str = Field(default="", description="environment variable that holds the key; empty: no key")
    temperature: float = Field(default=0.6, ge=0, le=2, description="sampling temperature")
    top_p: float = Field(default=0.95, gt=0, le=1, description="nucleus")
    max_tokens: int = Field(default=16384, ge=1, description="longest answer, thought included, in tokens")
    concurrency: int = execution(64, "requests in flight", ge=1, le=4096)
    timeout_s: float = execution(600.0, "time for one request", gt=0)
    retries: int = execution(8, "repeats after 408, 409, 425, 429, 5xx, a timeout, a lost connection", ge=0)
    first_wait_s: float = execution(1.0, "mean wait before the first repeat; doubles each time, up to 60 s", gt=0)
    prices: Prices = execution(Prices(), "what tokens cost; only the accounts depend on it")
