"""What Prometheus sees of a judge."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 8, 30, 120, 600)


class Metrics:
    """One judge's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.verdicts = Counter("mimo_judge_verdicts", "verdicts given", ["problem", "kind"], registry=registry)
        self.tests = Counter("mimo_judge_tests", "tests of programs, by what they said", ["kind"], registry=registry)
        self.refused = Counter("mimo_judge_refused_requests", "requests not accepted", ["status"], registry=registry)
        self.abandoned = Counter(
            "mimo_judge_abandoned_items", "items dropped because their client went away", registry=registry
        )
        self.queued = Gauge("mimo_judge_queued_items", "accepted, not yet being judged", ["problem"], registry=registry)
        self.running = Gauge("mimo_judge_running_items", "being judged", ["problem"], registry=registry)
        self.request_bytes = Gauge(
            "mimo_judge_request_bytes", "of requests accepted and not yet answered", registry=registry
        )
        self.waited = Histogram(
            "mimo_judge_wait_seconds", "from acceptance until judging starts", ["problem"],
            buckets=_SECONDS, registry=registry,
        )
        self.judged = Histogram(
            "mimo_judge_verdict_seconds", "from the start of judging to the verdict", ["problem"],
            buckets=_SECONDS, registry=registry,
        )
        self.ready = Gauge("mimo_judge_ready", "1 when work is accepted", registry=registry)
        self.slots = Gauge("mimo_judge_slots", "programs that can run at the same time", ["level"], registry=registry)
