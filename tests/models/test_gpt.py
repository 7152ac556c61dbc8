"""GPT: the same numbers as a forward pass written from the papers, gradients by finite differences,
nothing seen of the future, and a cache that changes nothing."""

import math

import numpy as np
import pytest
from scipy.special import erf, logsumexp

import tinygen as tg
from tinygen.autograd import grad
from tinygen.models import gpt
from tinygen.models.gpt import GPT, GPTConfig, KVCache
from tinygen.nn import functional as F

SIZE = {"vocab_size": 11, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 6}


def model(dtype=tg.float64, spread=0.3, seed=0, **changes) -> GPT:
    """A small GPT with weights that are large and all different, as after a training: with the
    initial ones attention is almost uniform, and norms and biases do nothing."""
    made = GPT(GPTConfig(**{**SIZE, **changes})).to(dtype)
    rng = np.random.default_rng(seed)
    for p in made.parameters():
        p.array[...] += spread * rng.standard_normal(p.shape)
    return made


def tokens(*shape, seed=0, below=11) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(seed).integers(below, size=shape))


# ---- The numbers ---------------------------------------------------------------------------------


def forward_by_hand(w: dict, idx: np.ndarray, n_layer: int, n_head: int) -> np.ndarray:
    """GPT-2 in NumPy: Radford et al. 2018 and 2019, Vaswani et al. 2017; heads one at a time."""

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * w[f"{name}.weight"] + w.get(f"{name}.bias", 0)

    def linear(x, name):
        return np.einsum("...i,oi->...o", x, w[f"{name}.weight"]) + w.get(f"{name}.bias", 0)

    (B, T), C = idx.shape, w["transformer.wte.weight"].shape[1]
    D = C // n_head
    x = w["transformer.wte.weight"][idx] + w["transformer.wpe.weight"][:T]
    for layer in range(n_layer):
        name = f"transformer.h.{layer}"
        qkv = linear(norm(x, f"{name}.ln_1"), f"{name}.attn.c_attn")
        y = np.zeros((B, T, C))
        for b, h, t in np.ndindex(B, n_head, T):
            q, k, v = (qkv[b, :, i * C + h * D : i * C + (h + 1) * D] for i in range(3))
            scores = k[: t + 1] @ q[t] / math.sqrt(D)
            y[b, t, h * D : (h + 1) * D] = np.exp(scores - logsumexp(scores)) @ v[: t + 1]
        x = x + linear(y, f"{name}.attn.c_proj")
        wide = linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        x = x + linear(wide * (1 + erf(wide / math.sqrt(2))) / 2, f"{name}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ w["lm_head.weight"].T


def arrays(m: GPT) -> dict:
    return {name: value.array for name, value in m.state_dict().items()}


@pytest.mark.parametrize(
    ("n_head", "bias", "length"), [(1, True, 8), (2, True, 5), (3, False, 8), (2, True, 1)]
)
def test_logits_are_those_of_the_papers(n_head, bias, length):
    m, idx = model(n_head=n_head, bias=bias), tokens(3, length)
    logits, loss = m(idx)
    assert logits.shape == (3, length, 11) and logits.dtype == tg.float64 and loss is None
    expected = forward_by_hand(arrays(m), idx.array, 2, n_head)
    np.testing.assert_allclose(logits.array, expected, rtol=0, atol=1e-10)


def test_float32_stays_float32():
    m, idx = model(tg.float32), tokens(3, 8)
    logits, loss = m(idx, idx)
    assert logits.dtype == loss.dtype == tg.float32
    expected = forward_by_hand(arrays(m), idx.array, 2, 2)
    np.testing.assert_allclose(logits.array, expected, rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_mean_cross_entropy_of_targets_that_count():
    m, idx, targets = model(), tokens(3, 8), tokens(3, 8, seed=1)
    targets.array[0, 3:] = targets.array[2, 0] = -100
    logits, loss = m(idx, targets)
    losses = [
        logsumexp(logits.array[place]) - logits.array[place][target]
        for place, target in np.ndenumerate(targets.array)
        if target != -100
    ]
    assert len(losses) == 18 and loss.shape == ()
    np.testing.assert_allclose(loss.item(), np.mean(losses), rtol=1e-12)


def test_gradients_are_the_slopes_of_the_loss():
    m, idx, targets = model(), tokens(2, 8), tokens(2, 8, seed=1)
    targets.array[0, 2] = -100
    m(idx, targets)[1].backward()
    rng, h = np.random.default_rng(0), 1e-5
    for name, p in m.named_parameters():
        assert p.grad is not None and p.grad.array.any(), name
        for _ in range(3):
            at, slope = tuple(rng.integers(p.shape)), 0.0
            for sign in (1, -1):
                p.array[at] += sign * h
                with tg.no_grad():
                    slope += sign * m(idx, targets)[1].item() / (2 * h)
                p.array[at] -= sign * h
            np.testing.assert_allclose(p.grad.array[at], slope, rtol=1e-6, atol=1e-9, err_msg=name)


def test_tokens_see_nothing_of_the_future():
    m, idx = model(), tokens(2, 8)
    logits = m(idx)[0].array
    for t in range(8):
        changed = idx.clone()
        changed.array[:, t] = (changed.array[:, t] + 1) % 11
        now = m(changed)[0].array
        np.testing.assert_array_equal(now[:, :t], logits[:, :t])
        assert (now[:, t:] != logits[:, t:]).any(-1).all()  # everything later sees the change


def test_no_gradient_reaches_the_future():
    m, idx, seen = model(), tg.arange(8)[None], []  # all tokens different: a row of wte each
    hook = m.transformer.wte.register_forward_hook(lambda module, args, out: seen.append(out))
    logits = m(idx)[0]
    hook.remove()
    for t in range(8):
        direction = tg.randn(11, dtype=tg.float64)  # ones would do nothing: ln_f has mean 0
        g = grad(logits[0, t] @ direction, seen[0], retain_graph=True)[0].array[0]
        assert not g[t + 1 :].any()
        assert g[: t + 1].any(-1).all()


def test_attention_without_its_mask_would_be_noticed(monkeypatch):
    """The test above would fail: this one says that it looks at the right thing."""
    name = "packed_scaled_dot_product_attention"
    attend = getattr(F, name)
    monkeypatch.setattr(F, name, lambda *args, is_causal, **rest: attend(*args, **rest))
    m, idx = model(), tokens(2, 8)
    logits = m(idx)[0].array
    idx.array[:, -1] = (idx.array[:, -1] + 1) % 11
    assert (m(idx)[0].array[:, 0] != logits[:, 0]).any()


# ---- Parameters ----------------------------------------------------------------------------------

# What Hugging Face's GPT2LMHeadModel calls them, all of one block and those around the blocks.
OF_A_BLOCK = [
    f"{part}.{kind}"
    for part in ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
    for kind in ("weight", "bias")
]
NAMES = [
    "transformer.wte.weight",
    "transformer.wpe.weight",
    *(f"transformer.h.{layer}.{name}" for layer in range(2) for name in OF_A_BLOCK),
    "transformer.ln_f.weight",
    "transformer.ln_f.bias",
    "lm_head.weight",
]


def test_names_are_those_of_gpt_2():
    assert list(model().state_dict()) == NAMES
    assert list(model(bias=False).state_dict()) == [n for n in NAMES if not n.endswith("bias")]


def test_the_embedding_is_the_output_matrix_counted_once():
    m = model()
    assert m.lm_head.weight is m.transformer.wte.weight
    assert [name for name, _ in m.named_parameters()] == NAMES[:-1]
    m(tokens(1, 4), tokens(1, 4))[1].backward()
    # Token 10 is not in the input; its row still has the gradient of its logit.
    assert 10 not in tokens(1, 4).array and m.transformer.wte.weight.grad.array[10].any()


@pytest.mark.parametrize("bias", [True, False])
def test_how_many_parameters_there_are(bias):
    V, T, L, C = 11, 8, 2, 6
    matrices = V * C + T * C + L * 12 * C**2
    vectors = L * 2 * C + C + bias * (L * (2 + 3 + 1 + 4 + 1) * C + C)
    assert sum(p.numel() for p in model(bias=bias).parameters()) == matrices + vectors


def test_the_defaults_are_gpt_2_small():
    c = GPTConfig()
    L, C = c.n_layer, c.n_embd
    count = (c.vocab_size + c.block_size) * C + L * (12 * C**2 + 13 * C) + 2 * C
    assert count == 124_439_808 and c.n_head == 12 and c.bias


def test_initial_weights():
    m = GPT(GPTConfig(vocab_size=80, block_size=64, n_layer=8, n_head=4, n_embd=64))
    for name, p in m.named_parameters():
        if name.endswith("bias"):
            assert not p.array.any(), name
        elif ".ln_" in name:
            assert (p.array == 1).all(), name
        else:
            std = 0.02 / math.sqrt(16) if "c_proj" in name else 0.02
            assert abs(p.array.std() / std - 1) < 0.06, name
            assert abs(p.array.mean()) < 5 * std / math.sqrt(p.numel()), name
    first = m(tokens(4, 64, below=80), tokens(4, 64, seed=1, below=80))[1].item()
    assert abs(first - math.log(80)) < 0.1  # it knows nothing yet


def test_groups_decay_matrices_but_no_biases_and_norms():
    m = model()
    decayed, others = m.parameter_groups(0.1)
    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0.0
    names = {id(p): name for name, p in m.named_parameters()}
    found = [{names[id(p)] for p in group["params"]} for group in (decayed, others)]
    assert found[0] | found[1] == set(names.values()) and not found[0] & found[1]
    assert found[1] == {n for n in names.values() if n.endswith("bias") or ".ln_" in n}
    tg.optim.AdamW(m.parameter_groups(0.1))  # takes them: no parameter comes twice


def test_a_saved_model_gives_the_same_logits(tmp_path):
    m, idx = model(tg.float32), tokens(2, 8)
    tg.save(m.state_dict(), tmp_path / "gpt.safetensors")
    other = model(tg.float32, seed=1)
    result = other.load_state_dict(tg.load(tmp_path / "gpt.safetensors"))
    assert result == ([], []) and other.lm_head.weight is other.transformer.wte.weight
    np.testing.assert_array_equal(other(idx)[0].array, m(idx)[0].array)


# ---- Dropout, errors, learning -------------------------------------------------------------------


def test_dropout_drops_in_training_only():
    m, idx = model(dropout=0.2), tokens(2, 8)
    plain = model()
    plain.load_state_dict(m.state_dict())
    m.eval()
    np.testing.assert_array_equal(m(idx)[0].array, plain(idx)[0].array)
    m.train()
    first, second = m(idx)[0].array, m(idx)[0].array
    assert (first != second).any()


@pytest.mark.parametrize(
    "where", ["transformer.drop", "attn.resid_dropout", "attn weights", "mlp.dropout"]
)
def test_dropout_is_in_all_of_its_places(where):
    m, idx = model(dropout=0.5), tokens(2, 8)
    for name, module in m.named_modules():
        if isinstance(module, tg.nn.Dropout) and not name.endswith(where):
            module.p = 0.0
        if isinstance(module, gpt.CausalSelfAttention) and where != "attn weights":
            module.dropout = 0.0
    assert (m(idx)[0].array != m(idx)[0].array).any()


@pytest.mark.parametrize("name", ["vocab_size", "block_size", "n_layer", "n_head", "n_embd"])
def test_sizes_below_1_are_refused(name):
    with pytest.raises(ValueError, match=f"GPTConfig: {name} must be at least 1, not 0"):
        GPTConfig(**{name: 0})


def test_heads_of_unequal_size_are_refused():
    with pytest.raises(ValueError, match=r"n_embd \(10\) must be a multiple of n_head \(4\)"):
        GPTConfig(n_embd=10, n_head=4)


def test_a_sequence_longer_than_block_size_is_refused():
    m = model()
    with pytest.raises(ValueError, match=r"9 tokens is longer than block_size, which is 8"):
        m(tokens(1, 9))
    caches = [KVCache(), KVCache()]
    m(tokens(1, 6), caches=caches)
    with pytest.raises(ValueError, match=r"9 tokens is longer than block_size"):
        m(tokens(1, 3), caches=caches)


def test_it_learns_a_short_text_by_heart():
    text = np.array([0, 1, 2, 3, 1, 4, 2, 0, 5, 1, 3, 3, 2, 5, 4, 4, 0])
    m = GPT(GPTConfig(6, 16, 2, 2, 32))
    optimizer = tg.optim.AdamW(m.parameters(), lr=5e-3)
    x, y = tg.tensor(text[None, :-1]), tg.tensor(text[None, 1:])
    for _ in range(60):
        loss = m(x, y)[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    np.testing.assert_array_equal(m.generate(x[:, :4], 13)[0].array, text)


# ---- Attention maps ------------------------------------------------------------------------------


def test_attention_maps_are_the_weights_that_attention_uses(monkeypatch):
    calls = []

    def noted(qkv, heads, **options):
        out = attend(qkv, heads, **options)
        v = qkv.chunk(3, -1)[2]
        calls.append([x.array[0].reshape(7, heads, -1).swapaxes(0, 1) for x in (v, out)])
        return out

    attend = F.packed_scaled_dot_product_attention
    monkeypatch.setattr(F, "packed_scaled_dot_product_attention", noted)
    m, idx = model(dropout=0.3), tokens(2, 7)
    maps = m.attention_maps(idx)
    assert m.training and len(maps) == len(calls) == 2
    for weights, (v, out) in zip(maps, calls):
        assert weights.shape == (2, 7, 7)
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
        assert not np.triu(weights, 1).any() and (weights >= 0).all()
        assert weights.std() > 0.05  # else any uniform map would do
        np.testing.assert_allclose(weights @ v, out, rtol=1e-10, atol=1e-12)


def test_attention_maps_leave_nothing_behind():
    m = model()
    with pytest.raises(ValueError, match="longer than block_size"):
        m.attention_maps(tokens(1, 9))
    m.attention_maps(tokens(1, 8))
    assert m.training and not any(module._forward_pre_hooks for module in m.modules())


# ---- Generating ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [1, 3, 8, 11])  # block_size is 8
@pytest.mark.parametrize("do_sample", [False, True])
def test_the_cache_changes_nothing(prompt, do_sample):
    m, ids = model(), tokens(3, prompt)
    with_cache, without = (
        m.generate(
            ids, 15, do_sample=do_sample, use_cache=use_cache, generator=tg.Generator(1)
        ).array
        for use_cache in (True, False)
    )
    assert with_cache.shape == (3, prompt + 15) and with_cache.dtype == np.int64
    np.testing.assert_array_equal(with_cache[:, :prompt], ids.array)
    np.testing.assert_array_equal(with_cache, without)
    assert (with_cache[0] != with_cache[1]).any()  # rows are not copies of the first


def test_only_the_new_token_passes_through_the_model_while_the_window_lasts():
    m, lengths = model(), []
    m.transformer.h[0].register_forward_pre_hook(lambda block, args: lengths.append(args[0].shape))
    m.generate(tokens(2, 3), 8)
    # 3 to 8 tokens fit; at 9 the model starts again with the last 4, which have to be seen anew.
    assert [shape[1] for shape in lengths] == [3, 1, 1, 1, 1, 1, 4, 1]


@pytest.mark.parametrize("split", [1, 3, 7])
def test_a_text_fed_in_two_parts_through_the_caches(split):
    m, idx = model(), tokens(2, 8)
    caches = [KVCache() for _ in m.transformer.h]
    assert caches[0].length == 0
    parts = [m(part, caches=caches)[0].array for part in (idx[:, :split], idx[:, split:])]
    assert [cache.length for cache in caches] == [8, 8]
    whole = m(idx)[0].array
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-10, atol=1e-12)


def test_greedy_is_the_argmax_of_the_whole_model():
    m = model()
    ids = tokens(2, 2).array
    for _ in range(6):
        logits = forward_by_hand(arrays(m), ids, 2, 2)[:, -1]
        ids = np.concatenate([ids, logits.argmax(-1)[:, None]], 1)
    np.testing.assert_array_equal(m.generate(tokens(2, 2), 6).array, ids)


def test_beyond_block_size_the_last_half_of_the_window_goes_on():
    m, ids = model(), tokens(1, 8)
    ids = m.generate(ids, 1)
    expected = m(ids[:, -4:])[0][:, -1].argmax(-1)
    assert m.generate(tokens(1, 8), 2).array[0, -1] == expected.item()


def test_a_block_of_one_token():
    m = model(block_size=1)
    assert m.generate(tokens(1, 1), 4).shape == (1, 5)


def test_sampling_at_low_temperature_is_greedy_and_at_high_temperature_is_not():
    m, ids = model(), tokens(4, 2)
    greedy = m.generate(ids, 10).array
    cold = m.generate(ids, 10, do_sample=True, temperature=1e-4).array
    hot = m.generate(ids, 10, do_sample=True, temperature=10.0).array
    first = m.generate(ids, 10, do_sample=True, temperature=10.0, top_k=1).array
    np.testing.assert_array_equal(cold, greedy)
    np.testing.assert_array_equal(first, greedy)
    assert (hot != greedy).any()


def test_a_generator_makes_samples_reproducible():
    m, ids = model(), tokens(2, 2)

    def sample(seed):
        return m.generate(ids, 12, do_sample=True, generator=tg.Generator(seed)).array

    np.testing.assert_array_equal(sample(1), sample(1))
    assert (sample(1) != sample(2)).any()


def script(m, monkeypatch, rows):
    """Let the model choose these tokens [rows, new], one column a call."""
    columns = iter(np.array(rows).T)
    monkeypatch.setattr(gpt, "next_token", lambda logits, **_: tg.tensor(next(columns)))


@pytest.mark.parametrize(("pad", "filled"), [(None, 7), (0, 0)])
def test_a_row_ends_with_eos_and_is_padded(monkeypatch, pad, filled):
    m = model()
    script(m, monkeypatch, [[1, 7, 3, 4, 5, 6], [2, 2, 2, 7, 9, 9]])
    ids = m.generate(tokens(2, 2), 6, eos_token_id=7, pad_token_id=pad)
    # Both rows have ended after four tokens, and so has the generation.
    np.testing.assert_array_equal(ids.array[:, 2:], [[1, 7, filled, filled], [2, 2, 2, 7]])
    assert ids.dtype == tg.int64


def test_padding_with_another_token_does_not_revive_a_row(monkeypatch):
    m = model()
    script(m, monkeypatch, [[7, 1, 7, 1], [1, 1, 1, 1]])
    ids = m.generate(tokens(2, 1), 4, eos_token_id=7, pad_token_id=0)
    np.testing.assert_array_equal(ids.array[:, 1:], [[7, 0, 0, 0], [1, 1, 1, 1]])


def test_without_eos_all_tokens_are_made():
    assert model().generate(tokens(2, 3), 0).shape == (2, 3)
    assert model().generate(tokens(2, 3)).shape == (2, 23)


@pytest.mark.parametrize("shape", [(3,), (1, 0), (1, 2, 3)])
def test_prompts_that_are_none(shape):
    with pytest.raises(ValueError, match=r"generate takes token ids \[batch, length\]"):
        model().generate(tokens(*shape))


def test_settings_reach_the_sampling():
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        model().generate(tokens(1, 2), do_sample=True, top_k=0)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        model().generate(tokens(1, 2), do_sample=True, temperature=0.0)
    with pytest.raises(ValueError, match="top_p must be in"):
        model().generate(tokens(1, 2), do_sample=True, top_p=2.0)


def test_generating_records_no_graph_and_goes_without_dropout():
    m, seen = model(dropout=0.5), []
    m.lm_head.register_forward_hook(lambda module, args, out: seen.append(out))
    ids = m.generate(tokens(2, 2), 5)
    assert not any(logits.requires_grad for logits in seen) and not ids.requires_grad
    assert m.training and tg.is_grad_enabled()
    np.testing.assert_array_equal(ids.array, m.generate(tokens(2, 2), 5).array)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_comes_back_even_when_interrupted(training):
    m = model().train(training)

    def interrupt(module, args):
        raise KeyboardInterrupt

    m.transformer.h[1].register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        m.generate(tokens(1, 2), 5)
    assert all(module.training == training for module in m.modules())
    assert tg.is_grad_enabled()
