"""The synthesis stage: plan requests, ask the teacher, verify, keep what is right and readable."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from components.artifacts import Artifact, ArtifactError, Shard, write_json
from components.data.documents import (
    CONVERSATION_SCHEMA,
    DOCUMENT_SCHEMA,
    REJECTED_SCHEMA,
    Mapped,
    Record,
    describe_part,
    read_documents,
    read_parquet,
    write_parquet,
)
from components.data.endpoint_config import Prices
from components.data.synthesis.config import Config
from components.data.synthesis.requests import OUTPUTS, ROUTES, Request, plan
from components.data.synthesis.teacher import SolverTeacher
from components.data.synthesis.verification import judge
from components.data.teacher import Teacher
from components.model.chat_template import render
from components.problems import read_problems
from components.reward.rewards import Rewarder
from components.runner import Outputs

if TYPE_CHECKING:
    from components.data.endpoint import EndpointClient

OPEN_SHARDS = 2   # answered at once: the slow last answers of one leave no connection idle
SCHEMAS: dict[str, pa.Schema] = {"documents": DOCUMENT_SCHEMA, "conversations": CONVERSATION_SCHEMA}


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the outputs `documents` (rendered with the chat template) and `conversations`.

    Raises:
        ConfigError: no key for the endpoint, or an unreadable file of queries.
        TeacherError: the endpoint cannot be used; received answers are kept for the next start.
        ArtifactError: not a single answer could be used.
    """
    documents = list(read_documents(inputs["documents"]))
    problems = read_problems(inputs["problems"].paths())
    requests = plan(config, documents, problems)
    del documents, problems
    try:
        repeats = asyncio.run(_synthesise(config, requests, outputs))
    except ExceptionGroup as group:   # of the requests in flight; the first failure ended the others
        raise _first(group) from None
    outputs.end_share()
    counts = {output: _finish(output, requests[output], config, outputs) for output in OUTPUTS}
    if any(requests.values()) and not any(count["kept"] for count in counts.values()):
        raise ArtifactError(f"synthesis: no answer could be used: {dict(sum(counts.values(), Counter()))}")
    _account(config, sum(counts.values(), Counter()), repeats, outputs)
    _report(config, counts, outputs)


def _first(group: ExceptionGroup) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def _synthesise(config: Config, requests: dict[str, list[Request]], outputs: Outputs) -> int:
    """Answer every shard that is not complete; returns how many requests the endpoint made us repeat."""
    jobs = outputs.share([(output, index, batch) for output in OUTPUTS
                          for index, batch in enumerate(_shards(requests[output], config.shard_requests))])
    total = sum(len(batch) for *_, batch in jobs)
    done = 0
    open_shards = asyncio.Semaphore(OPEN_SHARDS)
    async with _open_endpoint(config) as client:
        with Rewarder(config.reward) as rewarder:

            async def answer_shard(output: str, index: int, batch: Sequence[Request]) -> None:
                nonlocal done
                async with open_shards:
                    if not _marker(outputs, output, index).exists():
                        journal = outputs.work / output / f"part-{index:05d}.journal.jsonl"
                        with _open_teacher(client, journal) as teacher:
                            _write(output, index, await _answer(batch, config, teacher, rewarder), outputs)
                        journal.unlink(missing_ok=True)
                    done += len(batch)
                    outputs.progress.update(done, total, f"{output}: {done} of {total} requests")

            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(answer_shard(*job))
    return client.repeats if client else 0


@asynccontextmanager
async def _open_endpoint(config: Config) -> AsyncIterator[EndpointClient | None]:
    """Connections to the endpoint, if the teacher is one."""
    if config.endpoint is None:
        yield None
        return
    from components.data.endpoint import open_endpoint  # needs httpx, which solvers do not

    async with open_endpoint(config.endpoint) as client:
        yield client


@contextmanager
def _open_teacher(client: EndpointClient | None, journal: Path) -> Iterator[Teacher]:
    """The teacher of one shard, whose answers are kept in `journal` until the shard is written."""
    if client is None:
        yield SolverTeacher()
        return
    from components.data.endpoint import RecordedTeacher, open_journal

    with open_journal(journal) as opened:
        yield RecordedTeacher(client, opened)


async def _answer(batch: Sequence[Request], config: Config, teacher: Teacher, rewarder: Rewarder) -> Mapped:
    """Ask and verify one shard; the result is in the order of the requests."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one(request, config, teacher, rewarder)) for request in batch]
    mapped = Mapped()
    for task in tasks:
        one = task.result()
        mapped.kept += one.kept
        mapped.rejected += one.rejected
        mapped.counts += one.counts
    return mapped


async def _one(request: Request, config: Config, teacher: Teacher, rewarder: Rewarder) -> Mapped:
    messages = [{"role": "user", "content": request.prompt}]
    attempts = config.problems.attempts if request.problem else 1
    seed = int.from_bytes(hashlib.sha256(f"{request.id}/{config.seed}".encode()).digest()[:4], "big")
    generations = await teacher.generate(request.id, messages, attempts, seed)
    mapped = Mapped()
    used = {
        "requests": 1,
        "generations": len(generations),
        "prompt_tokens": sum(generation.prompt_tokens for generation in generations),
        "completion_tokens": sum(generation.completion_tokens for generation in generations),
    }
    mapped.counts.update(used | {f"{name}_{request.route}": count for name, count in used.items()})
    for number, verdict in enumerate(await judge(request, generations, config, rewarder)):
        name = f"{request.id}/{number}"
        if verdict.reason:
            mapped.reject({"id": name, "url": request.url}, verdict.reason, verdict.detail)
        else:
            answer = {"role": "assistant", "content": generations[number].text}
            mapped.kept.append({"id": name, "request": request, "messages": [*messages, answer]})
            mapped.counts[f"kept_{request.route}"] += 1
    return mapped


def _document(row: Record) -> Record:
    request: Request = row["request"]
    answer = row["messages"][-1]["content"]
    return {
        "id": hashlib.sha256(row["id"].encode()).hexdigest()[:16],
        "url": request.url,
        "source": f"synthesis/{request.route}",
        "title": request.origin,
        "text": render(row["messages"], add_generation_prompt=False),
        "formulas": answer.count("$") // 2 + answer.count("\\boxed"),
        "code_blocks": answer.count("```") // 2,
        "thread": False,
        "language": "en",
        "domain": "synthetic",
        "scores": {},
    }


def _conversation(row: Record) -> Record:
    request: Request = row["request"]
    return {
        "id": hashlib.sha256(row["id"].encode()).hexdigest()[:16],
        "source": f"synthesis/{request.route}/{request.origin}" if request.problem else f"synthesis/{request.route}",
        "problem_id": request.problem.id if request.problem else "",
        "messages": row["messages"],
    }


def _shards(requests: Sequence[Request], size: int) -> list[Sequence[Request]]:
    return [requests[start : start + size] for start in range(0, max(len(requests), 1), size)]


def _marker(outputs: Outputs, output: str, index: int) -> Path:
    """Written last: its presence means that the shard is complete."""
    return outputs.work / output / f"part-{index:05d}.json"


def _write(output: str, index: int, mapped: Mapped, outputs: Outputs) -> None:
    directory = outputs.directory(output)
    make = _document if output == "documents" else _conversation
    rows = write_parquet(directory / f"part-{index:05d}.parquet", map(make, mapped.kept), SCHEMAS[output])
    if mapped.rejected:
        write_parquet(directory / "rejected" / f"part-{index:05d}.parquet", mapped.rejected, REJECTED_SCHEMA)
    marker = _marker(outputs, output, index)
    marker.parent.mkdir(exist_ok=True)
    write_json(marker, {"rows": rows, "rejected": len(mapped.rejected), "counts": dict(mapped.counts)})


def _finish(output: str, requests: Sequence[Request], config: Config, outputs: Outputs) -> Counter[str]:
    shards: list[Shard] = []
    counts: Counter[str] = Counter()
    for index in range(len(_shards(requests, config.shard_requests))):
        stats = json.loads(_marker(outputs, output, index).read_text())
        counts.update(stats["counts"])
        shards += describe_part(outputs.directory(output), index, stats["rows"], stats["rejected"])
    counts["kept"] = sum(shard.rows for shard in shards if shard.role == "data")
    counts["rejected"] = sum(shard.rows for shard in shards if shard.role == "rejected")
    outputs.finish(output, output, shards, {**counts, output: counts["kept"], "teacher": config.teacher})
    outputs.metrics.update({f"{output}_{name}": float(count) for name, count in counts.items()})
    return counts


def _account(config: Config, counts: Counter[str], repeats: int, outputs: Outputs) -> None:
    """What was asked, what came back and what it cost, by route; rejected answers are paid for, too."""
    prices = config.endpoint.prices if config.endpoint else Prices()
    columns = ("requests", "generations", "prompt_tokens", "completion_tokens", "kept")
    rows: list[list[Any]] = []
    for route in (*ROUTES, "all"):
        values = [sum(counts[f"{name}_{one}"] for one in ROUTES if route in (one, "all")) for name in columns]
        cost = prices.cost(values[2], values[3])
        rows.append([route, *values, cost, cost / values[4] if values[4] else None])
    outputs.metrics.update(
        {f"total_{name}": float(value) for name, value in zip(columns, rows[-1][1:], strict=False)},
        total_cost=rows[-1][6], endpoint_repeats=float(repeats),
    )  # fmt: skip
    if config.endpoint is not None:
        money = f"cost, {prices.currency}"
        headings = ["route", *(name.replace("_", " ") for name in columns), money, "cost of a kept answer"]
        outputs.report.table("Tokens and cost", headings, rows)
        outputs.report.text(
            "How the cost is counted",
            f"{prices.prompt:g} {prices.currency} for a million prompt tokens, {prices.completion:g} for a million "
            f"tokens of answers, as the endpoint counts them. Answers that were lost on the way are not in it: the "
            f"endpoint made this start repeat {repeats} requests.",
        )


def _report(config: Config, counts: dict[str, Counter[str]], outputs: Outputs) -> None:
    report = outputs.report
    if config.endpoint is None:
        report.text(
            "The teacher",
            "Solver programs of this project wrote every answer here: column arithmetic, linear equations, programs "
            "translated clause by clause, and extraction from documents. They are no language model and show no "
            "reasoning beyond what these programs do; they saw the prompts only, never the gold answers.",
        )
    else:
        report.text("The teacher", f"{config.endpoint.model} at {config.endpoint.url}")
    names = sorted(set().union(*counts.values()))
    rows = [[name, *(counts[output][name] for output in OUTPUTS)] for name in names]
    report.table("Counts", ["", *OUTPUTS], rows)
    kept = {route: float(sum(counts[output][f"kept_{route}"] for output in OUTPUTS))
            for route in ROUTES}
    report.bars("Answers kept by route", kept, "answers")
    report.samples("Samples", [sample for output in OUTPUTS for sample in _samples(output, outputs)])


def _samples(output: str, outputs: Outputs) -> list[tuple[str, str]]:
    directory = outputs.directory(output)
    first: dict[str, str] = {}
    for row in read_parquet(directory / "part-00000.parquet"):
        first.setdefault(row["source"], row["text"] if output == "documents" else _as_text(row["messages"]))
    rejected = directory / "rejected" / "part-00000.parquet"
    for row in read_parquet(rejected) if rejected.exists() else []:
        first.setdefault(f"rejected: {row['reason']}", f"{row['id']}\n{row['detail']}")
    return [(f"{output} · {name}", text[:3000]) for name, text in sorted(first.items())]


def _as_text(messages: Sequence[dict[str, Any]]) -> str:
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
