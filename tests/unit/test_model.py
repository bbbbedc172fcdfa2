"""The architecture against transformers, the losses against ten-line references, checkpoints both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from components.config import ConfigError
from components.model import MiMoConfig, MiMoForCausalLM, losses
from components.model.checkpoint import load_model, save_checkpoint
from components.model.float8 import use_float8

TINY = MiMoConfig(
    vocab_size=131, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, rope_theta=10_000.0, max_position_embeddings=64,
    num_nextn_predict_layers=2, initializer_range=0.3,
)  # fmt: skip

ON_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def model() -> MiMoForCausalLM:
    torch.manual_seed(0)
    model = MiMoForCausalLM(TINY)
    for parameter in model.parameters():  # norms and biases away from their neutral values, so that they count
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    return model


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(0, TINY.vocab_size, (2, 37), generator=torch.Generator().manual_seed(1))


def test_parameter_counts_are_the_published_ones() -> None:
    config = MiMoConfig.mimo_7b()
    with torch.device("meta"):
        model = MiMoForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == 7_833_409_536
    assert config.parameter_count() == (7_622_619_136, 210_790_400)


def test_checkpoint_loads_in_transformers_with_equal_logits(model, tokens, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path, tokenizer=tmp_path)
    ours = model.logits(model(tokens))
    trunk = Qwen2ForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(trunk(tokens).logits, ours, rtol=1e-4, atol=1e-4)
    full, info = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=True, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert full.config.rope_parameters["rope_theta"] == TINY.rope_theta
    torch.testing.assert_close(full(tokens).logits, ours, rtol=1e-4, atol=1e-4)
    for head in range(2):
        drafted = model.lm_head(model.mtp_hidden(model(tokens), tokens, None, head))
        rows = tokens.shape[1] - 1 - head
        torch.testing.assert_close(full.mtp_logits(tokens, head)[:, :rows], drafted[:, :rows], rtol=1e-4, atol=1e-4)


def test_qwen2_checkpoint_is_a_start_point(tokens, tmp_path: Path) -> None:
    torch.manual_seed(0)
    qwen = Qwen2ForCausalLM(Qwen2Config(
        vocab_size=131, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, rope_parameters={"rope_type": "default", "rope_theta": 1234.0},
        tie_word_embeddings=True, max_position_embeddings=64,
    ))  # fmt: skip
    qwen.save_pretrained(tmp_path)
    model = load_model(tmp_path, mtp_heads=1)
    assert model.config.rope_theta == 1234.0
    torch.testing.assert_close(model.logits(model(tokens)), qwen(tokens).logits, rtol=1e-4, atol=1e-4)


def test_round_trip_and_extra_heads_start_as_copies(model, tokens, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path, tokenizer=tmp_path)
    again = load_model(tmp_path, mtp_heads=3, rope_theta=640_000.0)
    assert again.config == replace(TINY, num_nextn_predict_layers=3, rope_theta=640_000.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    for name, tensor in model.model.mtp_layers[1].state_dict().items():
        assert torch.equal(tensor, again.model.mtp_layers[2].state_dict()[name])


def test_tensors_have_the_published_names(model, tmp_path: Path) -> None:
    """Those that vLLM's MiMoForCausalLM and MiMoMTP read: Qwen2's for the trunk, 16 for each head, extra heads too."""
    save_checkpoint(model, tmp_path, tokenizer=tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
    layer = {f"self_attn.{part}_proj.{kind}" for part in "qkv" for kind in ("weight", "bias")} | {
        "self_attn.o_proj.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
        "input_layernorm.weight", "post_attention_layernorm.weight",
    }  # fmt: skip
    head = layer | {
        f"{part}.weight" for part in ("token_layernorm", "hidden_layernorm", "input_proj", "final_layernorm")
    }
    assert len(head) == 16
    assert names == {
        "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
        *(f"model.layers.{index}.{name}" for index in range(3) for name in layer),
        *(f"model.mtp_layers.{index}.{name}" for index in range(2) for name in head),
    }  # fmt: skip


def test_wrong_checkpoints_are_refused_by_name(model, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        load_model(tmp_path)
    save_checkpoint(model, tmp_path, tokenizer=tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "model_type": "llama"}))
    with pytest.raises(ConfigError, match="model_type is 'llama'"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**values, "num_hidden_layers": 4}))
    with pytest.raises(ConfigError, match=r"tensors missing: model\.layers\.3"):
        load_model(tmp_path)


def test_packed_documents_do_not_see_each_other(model, tokens) -> None:
    lengths = [11, 20, 6]
    segments = torch.repeat_interleave(torch.tensor([1, 2, 3]), torch.tensor(lengths)).expand(2, -1)
    packed = model(tokens, segments)
    packed_mtp = model.mtp_hidden(packed, tokens, segments, head=1)
    start = 0
    for length in lengths:
        alone = tokens[:, start : start + length]
        hidden = model(alone)
        torch.testing.assert_close(packed[:, start : start + length], hidden, rtol=1e-4, atol=1e-4)
        drafted = model.mtp_hidden(hidden, alone, None, head=1)[:, : length - 2]
        torch.testing.assert_close(packed_mtp[:, start : start + length - 2], drafted, rtol=1e-4, atol=1e-4)
        start += length


@pytest.mark.parametrize(("device", "tolerance"), [("cpu", 1e-5), pytest.param("cuda", 3e-2, marks=ON_GPU)])
def test_packed_losses_are_those_of_the_documents_alone(device, tolerance, model, tokens) -> None:
    """On a GPU the kernels for documents of any length, compiled and in bfloat16, against float32 without packing."""
    documents = [tokens[0, :20], tokens[0, 20:33], tokens[1, :37]]
    alone = {shift: torch.zeros(()) for shift in (1, 2, 3)}
    for document in documents:
        segments = torch.ones_like(document)[None]
        labels = {shift: losses.next_token_labels(document[None], segments, shift) for shift in alone}
        _, sums = model.losses(document[None], None, labels, dict.fromkeys(alone, 1.0))
        alone = {shift: alone[shift] + part for shift, part in zip(alone, sums, strict=True)}
        model.losses(document[None], None, labels, {1: 1.0, 2: 0.2, 3: 0.1})[0].backward()
    expected = [parameter.grad for parameter in model.parameters()]

    packed = MiMoForCausalLM(TINY)
    packed.load_state_dict(model.state_dict())
    packed.to(device)
    if device == "cuda":
        packed.compile_layers()
    segments = torch.tensor([[1] * 20 + [2] * 13 + [0] * 4, [1] * 37], device=device)
    labels = {shift: losses.next_token_labels(tokens.to(device), segments, shift) for shift in alone}
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        total, sums = packed.losses(tokens.to(device), segments, labels, {1: 1.0, 2: 0.2, 3: 0.1})
    total.backward()
    torch.testing.assert_close(sums.cpu(), torch.stack(list(alone.values())), rtol=tolerance, atol=tolerance)
    for parameter, gradient in zip(packed.parameters(), expected, strict=True):
        assert (parameter.grad.cpu() - gradient).norm() <= 10 * tolerance * gradient.norm()


@pytest.mark.parametrize("checkpointing", ["selective", "full"])
def test_activation_checkpointing_changes_no_gradient(checkpointing, model, tokens) -> None:
    segments = torch.repeat_interleave(torch.tensor([1, 2, 0]), torch.tensor([20, 13, 4])).expand(2, -1)
    labels = {ahead: losses.next_token_labels(tokens, segments, ahead) for ahead in (1, 2, 3)}
    found, kept = [], []
    for choice in ("none", checkpointing):
        model.checkpoint_activations(choice)
        saved: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, into=saved: into.append(x) or x, lambda x: x):
            total, _ = model.losses(tokens, segments, labels, {1: 1.0, 2: 0.2, 3: 0.1})
        kept.append(sum(x.numel() for x in {x.data_ptr(): x for x in saved}.values()))
        found.append(torch.autograd.grad(total, list(model.parameters())))
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)
    assert kept[1] < kept[0]


@pytest.mark.parametrize("checkpointing", ["none", "selective"])
def test_layers_compile_whole_and_give_the_same_losses(checkpointing, model, tokens, monkeypatch) -> None:
    """The tracer without code generation: each kind of layer is one graph, whatever the documents' number."""
    compile_layer = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **kw: compile_layer(self, backend="aot_eager", **kw))
    compiled = MiMoForCausalLM(TINY)
    compiled.load_state_dict(model.state_dict())
    compiled.checkpoint_activations(checkpointing)
    compiled.compile_layers()
    torch._dynamo.reset()
    labels = {ahead: torch.randint(0, TINY.vocab_size, (2, 37)) for ahead in (1, 2, 3)}
    with torch._dynamo.config.patch(error_on_recompile=False, recompile_limit=2, fail_on_recompile_limit_hit=True):
        for documents in ([37], [20, 13, 4], [5, 5, 5, 5, 5, 12]):
            segments = torch.repeat_interleave(torch.arange(len(documents)), torch.tensor(documents)).expand(2, -1)
            results = []
            for each in (model, compiled):
                total, _ = each.losses(tokens, segments, labels, {1: 1.0, 2: 0.2, 3: 0.1})
                results.append([total, *torch.autograd.grad(total, list(each.parameters()))])
            for a, b in zip(*results, strict=True):
                assert (a - b).norm() <= 1e-5 * a.norm()


def test_float8_rounds_the_layers_and_keeps_the_checkpoint_format(tokens) -> None:
    torch.manual_seed(0)
    exact, rounded = (MiMoForCausalLM(replace(TINY, initializer_range=0.05)) for _ in range(2))
    rounded.load_state_dict(exact.state_dict())
    assert use_float8(rounded, emulate=True) == 3 * 7 + 2 * 8  # heads also have an input projection
    assert rounded.state_dict().keys() == exact.state_dict().keys()
    labels = {ahead: torch.randint(0, TINY.vocab_size, tokens.shape) for ahead in (1, 2, 3)}
    gradients = []
    for model in (exact, rounded):
        total, _ = model.losses(tokens, None, labels, {1: 1.0, 2: 0.2, 3: 0.1})
        gradients.append(torch.autograd.grad(total, model.model.layers[0].mlp.up_proj.weight)[0])
    assert 0 < (gradients[1] - gradients[0]).norm() < 0.2 * gradients[0].norm()


def test_labels_stay_inside_their_document() -> None:
    tokens = torch.tensor([[5, 6, 7, 8, 9, 0]])
    segments = torch.tensor([[1, 1, 1, 2, 2, 0]])
    assert losses.next_token_labels(tokens, segments).tolist() == [[6, 7, -100, 9, -100, -100]]
    assert losses.next_token_labels(tokens, segments, shift=2).tolist() == [[7, -100, -100, -100, -100, -100]]
    response = torch.tensor([[False, False, True, True, True, True]])
    assert losses.next_token_labels(tokens, segments, 1, response).tolist() == [[-100, 7, -100, 9, -100, -100]]


@pytest.mark.parametrize("chunk", [17, 1 << 24])
def test_chunked_losses_equal_the_plain_ones(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.CHUNK_LOGITS, "cpu", chunk)
    torch.manual_seed(0)
    hidden, drafted = (torch.randn(23, 8, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weight = torch.randn(31, 8, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 31, (2, 23))
    labels[0, ::5] = losses.IGNORE
    labels[1, 3:9] = losses.IGNORE

    total, sums = losses.chunked_cross_entropy([hidden, drafted], weight, labels, [0.7, torch.tensor(0.3)])
    plain = [F.cross_entropy(h @ weight.T, row, reduction="sum")
             for h, row in zip((hidden, drafted), labels, strict=True)]  # fmt: skip
    torch.testing.assert_close(sums.double(), torch.stack(plain), rtol=1e-5, atol=1e-5)
    _same_gradients(total * 2, (0.7 * plain[0] + 0.3 * plain[1]) * 2, hidden, drafted, weight)

    targets = labels[0].clamp(min=0)
    chunked = losses.chunked_log_probabilities(hidden, weight, targets, temperature=0.6)
    plain_log = F.log_softmax(hidden @ weight.T / 0.6, -1).gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(chunked.double(), plain_log, rtol=1e-5, atol=1e-5)
    weights = torch.randn(23)
    _same_gradients((chunked * weights).sum(), (plain_log * weights).sum(), hidden, weight)


@pytest.mark.parametrize("vocabulary", [300, 32_768, 151_936, 10**7])
@pytest.mark.parametrize("rows", [0, 1, 257, 8_192, 16_383, 100_000])
def test_chunks_on_a_gpu_are_whole_tiles_of_nearly_one_size(rows: int, vocabulary: int) -> None:
    size = losses._chunk_size(rows, vocabulary, "cuda")
    largest = losses.CHUNK_LOGITS["cuda"] // vocabulary
    assert 1 <= size <= largest
    if rows and size > 256:
        assert size % 256 == 0
        assert -(-rows // size) == -(-rows // (largest - largest % 256))  # no more chunks than there must be
        assert (size - 256) * -(-rows // size) < rows  # none could be a tile smaller


def test_what_a_gpu_compiles_is_compiled_once_for_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_function = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_function(function, backend="aot_eager"))
    torch._dynamo.reset()
    fused = losses._fused.__wrapped__(losses._softmax_gradient, "cuda")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for rows in (12, 5, 7):
            logits, labels = torch.randn(rows, 31), torch.randint(0, 31, (rows,))
            expected = losses._softmax_gradient(logits.clone(), labels, torch.tensor(0.3))
            for a, b in zip(fused(logits, labels, torch.tensor(0.3)), expected, strict=True):
                torch.testing.assert_close(a, b)


def test_a_frozen_head_costs_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    monkeypatch.setattr(losses, "_add_product", lambda *_: added.append(1))
    hidden, weight = torch.randn(7, 8, requires_grad=True), torch.randn(31, 8)
    labels = torch.randint(0, 31, (7,))
    total, _ = losses.chunked_cross_entropy([hidden], weight, [labels])
    _same_gradients(total, F.cross_entropy(hidden @ weight.T, labels, reduction="sum"), hidden)
    weight.requires_grad_(True)
    with torch.no_grad():
        again, sums = losses.chunked_cross_entropy([hidden], weight, [labels])
    assert again.item() == pytest.approx(total.item(), rel=1e-5) and sums.tolist() == [again.item()]
    assert not added


def _same_gradients(ours: torch.Tensor, plain: torch.Tensor, *leaves: torch.Tensor) -> None:
    for a, b in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(plain, leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
