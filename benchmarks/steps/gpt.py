"""A GPT: nanoGPT's, without dropout and biases, on 65 characters."""

from .task import Task as Base

VOCAB = 65


class Task(Base):
    options = {"lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 0.1}
    clip = 1.0

    def __init__(self, n_layer, n_head, n_embd, block_size, batch_size):
        self.size = n_layer, n_head, n_embd, block_size
        self.batch_size = batch_size

    def batch(self, random):
        tokens = random.integers(0, VOCAB, (self.batch_size, self.size[-1] + 1))
        return tokens[:, :-1].copy(), tokens[:, 1:].copy()

    def model(self, m):
        nn, F = m.nn, m.nn.functional
        n_layer, n_head, n_embd, block_size = self.size

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.ln_1, self.ln_2 = (nn.LayerNorm(n_embd, bias=False) for _ in range(2))
                self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)
                self.c_proj = nn.Linear(n_embd, n_embd, bias=False)
                self.c_fc = nn.Linear(n_embd, 4 * n_embd, bias=False)
                self.mlp_proj = nn.Linear(4 * n_embd, n_embd, bias=False)

            def forward(self, x):
                B, T, C = x.shape
                qkv = self.c_attn(self.ln_1(x)).view(B, T, 3, n_head, C // n_head)
                q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
                y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.c_proj(y.transpose(1, 2).reshape(B, T, C))
                return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))

        class GPT(nn.Module):
            def __init__(self):
                super().__init__()
                self.wte, self.wpe = nn.Embedding(VOCAB, n_embd), nn.Embedding(block_size, n_embd)
                self.blocks = nn.Sequential(*[Block() for _ in range(n_layer)])
                self.ln_f = nn.LayerNorm(n_embd, bias=False)

            def forward(self, idx):
                x = self.wte(idx) + self.wpe.weight
                return self.ln_f(self.blocks(x)) @ self.wte.weight.T

        return GPT()

    def loss(self, m, model, x, y):
        return m.nn.functional.cross_entropy(model(x).view(-1, VOCAB), y.view(-1))

    def jax_loss(self, p, x, y):
        import jax
        import jax.numpy as jnp

        n_layer, n_head, _, _ = self.size

        def norm(x, weight):
            x = x - x.mean(-1, keepdims=True)
            return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weight

        h = p["wte.weight"][x] + p["wpe.weight"]
        B, T, C = h.shape
        for i in range(n_layer):
            w = {name: p[f"blocks.{i}.{name}.weight"]
                 for name in ("ln_1", "ln_2", "c_attn", "c_proj", "c_fc", "mlp_proj")}  # fmt: skip
            qkv = (norm(h, w["ln_1"]) @ w["c_attn"].T).reshape(B, T, 3, n_head, C // n_head)
            y_heads = jax.nn.dot_product_attention(
                qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True
            )
            h = h + y_heads.reshape(B, T, C) @ w["c_proj"].T
            inner = jax.nn.gelu(norm(h, w["ln_2"]) @ w["c_fc"].T, approximate=False)
            h = h + inner @ w["mlp_proj"].T
        logits = norm(h, p["ln_f.weight"]) @ p["wte.weight"].T
        log_probs = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_probs, y[..., None], -1).mean()
