"""The training core: schedules against the report's table, the loop against a plain reference, states under faults."""

from __future__ import annotations

import copy
import json
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.model import MiMoConfig, MiMoForCausalLM, losses
from components.registry import STAGES
from components.reporting import Progress, Report
from components.runner import Outputs
from components.training import held_out, loop
from components.training.checkpoint import SaveError, load_latest, save_state
from components.training.config import TrainingConfig
from components.training.held_out import measure_held_out
from components.training.loop import NonFiniteError, Plan, open_rows, train
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.packing import TokenRows, write_rows
from components.training.parallel import World
from components.training.pretraining.config import Config
from components.training.schedule import Piece, decay_begins, learning_rate, step_rows

TINY = MiMoConfig(
    vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=32, num_nextn_predict_layers=2, initializer_range=0.1,
)  # fmt: skip
CONSTANT = (Piece(tokens=1, start=5e-3, end=5e-3),)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model() -> MiMoForCausalLM:
    torch.manual_seed(0)
    return MiMoForCausalLM(TINY)


@pytest.fixture
def rows(tmp_path: Path) -> TokenRows:
    """12 rows of 24 tokens: up to three documents of a repeating pattern each, then padding."""
    random = np.random.default_rng(0)
    array = np.zeros((12, 2, 24), dtype=np.uint32)
    for row in array:
        start = 0
        for segment in range(1, random.integers(2, 5)):
            length = min(int(random.integers(1, 12)), 24 - start)
            row[0, start : start + length] = (random.integers(40) + 3 * np.arange(length)) % 40
            row[1, start : start + length] = segment
            start += length
    documents = [[f"d{number}-{segment}" for segment in range(1, row[1].max() + 1)] for number, row in enumerate(array)]
    return TokenRows([write_rows(tmp_path, 0, array, documents)])


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    root = tmp_path / "stage"
    root.mkdir()
    return Outputs(STAGES["pretraining"], root, "", {}, Progress("test"), Report("test"))


def plan_of(rows: TokenRows, **changes: object) -> Plan:
    values = {
        "rows": rows, "order": np.arange(len(rows)), "step_rows": [len(rows)], "learning_rate": CONSTANT,
        "training": TrainingConfig(), "micro_rows": 5, "mtp_heads": (0, 1), "mtp_weight": 0.3,
        "mtp_weight_decayed": 0.1,
    }  # fmt: skip
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


# Schedules


def test_default_schedule_is_the_report_s_table() -> None:
    def report(t: float) -> float:   # learning rate after t tokens of stage 1 (report, section 2.3)
        if t < 84e9:
            return 1.07e-4 * t / 84e9
        if t < 10.284e12:
            return 1.07e-4
        return 3e-5 + (1.07e-4 - 3e-5) * (1 + math.cos(math.pi * (t - 10.284e12) / 7.5e12)) / 2

    pieces = Config().learning_rate
    for t in np.linspace(0, 17.784e12, 1001):
        assert learning_rate(pieces, t / 17.784e12) == pytest.approx(report(t), rel=1e-9, abs=1e-15)
    assert decay_begins(pieces) == pytest.approx(10.284 / 17.784)
    assert decay_begins(CONSTANT) == 1.0


def test_a_constant_piece_has_one_rate() -> None:
    with pytest.raises(ValueError, match="a constant piece starts and ends at one rate"):
        Piece(tokens=1, start=1e-3, end=1e-4)


@given(st.integers(1, 3000), st.integers(1, 400), st.integers(1, 400), st.integers(0, 2000))
def test_steps_take_every_row_once_and_the_ramp_only_grows(rows: int, full: int, first: int, ramp: int) -> None:
    first = min(first, full)
    steps = step_rows(rows, full, first=first, ramp_rows=ramp)
    assert sum(steps) == rows and all(1 <= step <= full for step in steps)
    assert steps[:-1] == sorted(steps[:-1])
    seen = np.cumsum([0, *steps[:-1]])
    assert all(step == full for step, before in zip(steps[:-1], seen, strict=False) if before >= ramp)
    assert ramp == 0 or steps[0] == min(first, rows)


# Optimizer


def test_only_matrices_decay_and_only_trained_weights_move(model: MiMoForCausalLM) -> None:
    model.model.mtp_layers.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    optimizer = Optimizer(model, OptimizerConfig(weight_decay=0.5))
    for parameter in optimizer.parameters:
        parameter.grad = torch.zeros_like(parameter)
    assert optimizer.step(0.1) == 0
    for name, value in model.state_dict().items():
        decays = value.ndim == 2 and "mtp_layers" not in name
        torch.testing.assert_close(value, before[name] * (0.95 if decays else 1.0))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_gradient_is_clipped_and_a_broken_one_is_never_applied(model: MiMoForCausalLM, name: str) -> None:
    optimizer = Optimizer(model, OptimizerConfig(name=name))
    parameters = optimizer.parameters
    assert len({id(p) for part in optimizer.parts for g in part.param_groups for p in g["params"]}) == len(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    count = sum(parameter.numel() for parameter in parameters)
    assert float(optimizer.step(1e-3)) == pytest.approx(count**0.5)
    before = copy.deepcopy(model.state_dict())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    parameters[3].grad[0] = float("nan")   # type: ignore[index]
    assert not torch.isfinite(optimizer.step(1e-3))
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    assert all(parameter.grad is None for parameter in parameters)


# The loop


def naive_losses(model: MiMoForCausalLM, rows: TokenRows, targets: np.ndarray | None) -> list[torch.Tensor]:
    """Mean loss of the main model and of each MTP head, one document, one position at a time."""
    sums: list[list[torch.Tensor]] = [[], [], []]
    for number in range(len(rows)):
        tokens, segments = (torch.from_numpy(part.astype(np.int64)) for part in rows[number])
        allowed = torch.ones(len(tokens), dtype=torch.bool) if targets is None else torch.from_numpy(targets[number])
        for segment in range(1, int(segments.max()) + 1):
            document, wanted = tokens[segments == segment][None], allowed[segments == segment]
            hidden = model(document)
            logits = [model.logits(hidden)] + [
                model.lm_head(model.mtp_hidden(hidden, document, None, head))
                for head in range(2) if document.shape[1] > 2 + head
            ]
            for index, each in enumerate(logits):
                for t in range(document.shape[1] - 1 - index):
                    if wanted[t + 1 + index]:
                        sums[index].append(F.cross_entropy(each[0, t], document[0, t + 1 + index]))
    return [torch.stack(values).mean() for values in sums]


@pytest.mark.parametrize("responses_only", [False, True])
def test_accumulated_gradients_are_those_of_the_naive_loss(
    model: MiMoForCausalLM, rows: TokenRows, responses_only: bool
) -> None:
    targets = np.random.default_rng(1).random((12, 24)) < 0.5 if responses_only else None
    plan = plan_of(rows, targets=targets)
    reference = copy.deepcopy(model)
    expected = naive_losses(reference, rows, targets)
    (expected[0] + 0.3 * (expected[1] + expected[2]) / 2).backward()
    found = loop._accumulate(model, plan, plan.batches(0, World()), 0.3, World()).sum(0)
    torch.testing.assert_close(found, torch.stack(expected).detach())
    for (name, one), other in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_it_learns_and_the_mtp_weight_falls_with_the_rate(
    model: MiMoForCausalLM, rows: TokenRows, outputs: Outputs
) -> None:
    schedule = (
        Piece(tokens=1, start=0, end=1e-2, shape="linear"), Piece(tokens=4, start=1e-2, end=1e-2),
        Piece(tokens=5, start=1e-2, end=2e-3, shape="cosine"),
    )  # fmt: skip
    order = np.tile(np.arange(12), 30)
    before = measure_held_out(model, rows)
    history = train(model, plan_of(rows, order=order, step_rows=[12] * 30, learning_rate=schedule), outputs)
    assert [line["mtp_weight"] for line in history] == [0.3] * 15 + [0.1] * 15
    assert history[-1]["loss"] < 0.5 * history[0]["loss"] and history[-1]["mtp_2_loss"] < history[0]["mtp_2_loss"]
    assert history[-1]["tokens"] == 30 * 12 * 24
    after = measure_held_out(model, rows)
    assert after["loss"] == pytest.approx(history[-1]["loss"], rel=0.1)
    assert after["mtp_1_greedy"] > before["mtp_1_greedy"] and after["accuracy"] > 0.5


def test_a_broken_step_names_its_rows_and_leaves_the_weights(
    model: MiMoForCausalLM, rows: TokenRows, outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(rows, step_rows=[5, 7], micro_rows=3, training=TrainingConfig(save_every_s=0.0))
    losses_of = model.losses
    weights: list[dict[str, torch.Tensor]] = []

    def poisoned(tokens: torch.Tensor, *others: object) -> tuple[torch.Tensor, torch.Tensor]:
        if not np.array_equal(tokens.numpy(), rows.batch([8, 9, 10])[:, 0]):
            return losses_of(tokens, *others)   # type: ignore[arg-type]
        weights.append(copy.deepcopy(model.state_dict()))
        total, sums = losses_of(tokens, *others)   # type: ignore[arg-type]
        return total * float("nan"), sums * float("nan")

    monkeypatch.setattr(model, "losses", poisoned)
    with pytest.raises(NonFiniteError) as raised:
        train(model, plan, outputs)
    said = str(raised.value)
    assert said.startswith("step 2: losses [nan, nan, nan], gradient norm nan; look at row 8 of rows-00000.npy (d8-1)")
    assert "row 10 of rows-00000.npy (d10-1" in said and said.endswith("the weights are still those of step 1")
    record = json.loads((outputs.root / "non_finite.json").read_text())
    assert [row["row"] for row in record["rows"]] == [8, 9, 10] and record["step"] == 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[0][name]), name
    resumed = load_latest(outputs.work / "states", model, Optimizer(model, plan.training.optimizer))
    assert resumed is not None and resumed[0] == 1


@pytest.mark.parametrize(("resume", "again"), [("auto", 0), ("never", 3)])
def test_a_run_goes_on_unless_told_to_start_again(
    model: MiMoForCausalLM, rows: TokenRows, outputs: Outputs, monkeypatch: pytest.MonkeyPatch, resume: str, again: int
) -> None:
    first = train(model, plan_of(rows, step_rows=[4, 4, 4]), outputs)
    calls: list[torch.Tensor] = []
    losses_of = model.losses
    monkeypatch.setattr(model, "losses", lambda *given: (calls.append(given[0]), losses_of(*given))[1])
    second = train(model, plan_of(rows, step_rows=[4, 4, 4], training=TrainingConfig(resume=resume)), outputs)
    assert len(calls) == again and len(second) == 3
    assert (second == first) == (resume == "auto")


def test_rows_that_the_model_cannot_read_are_refused(tmp_path: Path, rows: TokenRows) -> None:
    shard = describe_shard(tmp_path, tmp_path / "rows-00000.npy", len(rows))
    write_manifest(tmp_path, kind="tokens", stage="mixing", shards=[shard], totals={"vocab_size": 41},
                   config_digest="", parents={})  # fmt: skip
    artifact = open_artifact(tmp_path)
    with pytest.raises(ArtifactError, match="tokenizer of 41 tokens, the model embeds 40"):
        open_rows(artifact, TINY)
    with pytest.raises(ArtifactError, match="rows of 24 tokens; the model's max_position_embeddings is 16"):
        open_rows(artifact, MiMoConfig(48, 32, 48, 1, 4, 2, 8, max_position_embeddings=16))


# Held-out measures


def test_held_out_measures_equal_naive_ones(
    model: MiMoForCausalLM, rows: TokenRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "BATCH_TOKENS", 5 * 24)
    monkeypatch.setitem(losses.CHUNK_LOGITS, "cpu", 7 * 40)
    found = measure_held_out(model, rows)
    with torch.no_grad():
        expected = naive_losses(model, rows, None)
    for name, value in zip(("loss", "mtp_1_loss", "mtp_2_loss"), expected, strict=True):
        assert found[name] == pytest.approx(float(value), rel=1e-5)
    greedy: list[bool] = []
    sampled: list[float] = []
    for number in range(len(rows)):
        tokens, segments = (torch.from_numpy(part.astype(np.int64)) for part in rows[number])
        for segment in range(1, int(segments.max()) + 1):
            document = tokens[segments == segment][None]
            if document.shape[1] < 4:
                continue
            hidden = model(document)
            main = model.logits(hidden)[0].softmax(-1)
            head = model.lm_head(model.mtp_hidden(hidden, document, None, 1))[0].softmax(-1)
            for t in range(document.shape[1] - 3):   # head 2 at t drafts the token that main predicts at t + 2
                greedy.append(bool(head[t].argmax() == main[t + 2].argmax()))
                sampled.append(float(sum(min(p, q) for p, q in zip(head[t], main[t + 2], strict=True))))
    assert found["mtp_2_greedy"] == pytest.approx(np.mean(greedy))
    assert found["mtp_2_sampled"] == pytest.approx(np.mean(sampled), rel=1e-5)


# Saved states


def stepped(model: MiMoForCausalLM, name: str = "adamw") -> Optimizer:
    """An optimizer that has made one step."""
    optimizer = Optimizer(model, OptimizerConfig(name=name))
    for number, parameter in enumerate(optimizer.parameters):
        parameter.grad = torch.full_like(parameter, 0.01 * (number + 1))
    optimizer.step(1e-2)
    return optimizer


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_state_brings_back_weights_moments_randomness_and_counters(
    model: MiMoForCausalLM, tmp_path: Path, name: str
) -> None:
    optimizer = stepped(model, name)
    save_state(tmp_path, 7, model, optimizer, {"pool": [1, 2]})
    expected = torch.rand(3)
    other = MiMoForCausalLM(TINY)
    copied = Optimizer(other, OptimizerConfig(name=name))
    assert load_latest(tmp_path, other, copied) == (7, {"pool": [1, 2]})
    assert torch.equal(torch.rand(3), expected)
    for each in (optimizer, copied):   # one more equal step needs equal moments
        for parameter in each.parameters:
            parameter.grad = torch.full_like(parameter, 0.02)
        each.step(1e-2)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("damage", ["flipped", "missing", "no record"])
def test_a_damaged_state_is_passed_over_and_named(
    model: MiMoForCausalLM, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    optimizer = stepped(model)
    for step in (1, 2, 3):
        save_state(tmp_path, step, model, optimizer, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    newest = tmp_path / "step-00000003"
    data = max(newest.iterdir(), key=lambda path: path.stat().st_size)
    if damage == "flipped":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    else:
        (data if damage == "missing" else newest / "state.json").unlink()
    assert load_latest(tmp_path, model, optimizer) == (2, {"step": 2})
    assert "step-00000003: damaged" in capsys.readouterr().err
    save_state(tmp_path, 3, model, optimizer, {"step": 3})   # made again, in its place
    assert load_latest(tmp_path, model, optimizer) == (3, {"step": 3})


@contextmanager
def no_space_beyond(size: int) -> Iterator[None]:
    """Writing past `size` bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 20_000])
def test_a_full_disk_is_said_and_costs_no_earlier_state(model: MiMoForCausalLM, tmp_path: Path, size: int) -> None:
    optimizer = stepped(model)
    save_state(tmp_path, 1, model, optimizer, {})
    (tmp_path / "step-00000002.partial").mkdir()   # a kill while saving left this
    with no_space_beyond(size), pytest.raises(SaveError, match=r"step-00000003: the state could not be saved: \S+"):
        save_state(tmp_path, 3, model, optimizer, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert load_latest(tmp_path, model, optimizer) == (1, {})
