"""Five small programs as people write them for PyTorch, each a function of the library it runs on.

Every `losses(torch, ...)` trains for some steps and returns the losses. Whatever is random comes
from NumPy, and the initial weights can be taken from another library's model: the same numbers must
come out.
"""

import math

import numpy as np

STEPS = 8


def adopt(model, torch, weights) -> None:
    """Take the parameters and buffers from a dict of arrays, under the same names."""
    if weights is not None:
        model.load_state_dict({name: torch.tensor(a) for name, a in weights.items()})


def arrays_of(model) -> dict:
    return {name: np.array(t.detach().numpy()) for name, t in model.state_dict().items()}


def gpt(torch, weights=None):
    """A decoder-only transformer on bytes: packed projection, causal mask, tied embeddings."""
    nn, F = torch.nn, torch.nn.functional

    class CausalSelfAttention(nn.Module):
        def __init__(self, n_embd, n_head, block_size):
            super().__init__()
            self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)
            self.c_proj = nn.Linear(n_embd, n_embd, bias=False)
            self.n_head = n_head
            mask = torch.tril(torch.ones(block_size, block_size))
            self.register_buffer("bias", mask.view(1, 1, block_size, block_size))

        def forward(self, x):
            B, T, C = x.size()
            q, k, v = self.c_attn(x).split(C, dim=2)
            k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
            return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))

    class Block(nn.Module):
        def __init__(self, n_embd, n_head, block_size):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
            self.attn = CausalSelfAttention(n_embd, n_head, block_size)
            self.mlp = nn.ModuleDict(
                {"c_fc": nn.Linear(n_embd, 4 * n_embd), "act": nn.GELU(),
                 "c_proj": nn.Linear(4 * n_embd, n_embd), "dropout": nn.Dropout(0.0)}
            )  # fmt: skip

        def forward(self, x):
            x = x + self.attn(self.ln_1(x))
            m = self.mlp
            return x + m.dropout(m.c_proj(m.act(m.c_fc(self.ln_2(x)))))

    class GPT(nn.Module):
        def __init__(self, vocab_size=32, block_size=12, n_embd=16):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocab_size, n_embd), nn.Embedding(block_size, n_embd)
            self.h = nn.ModuleList([Block(n_embd, 2, block_size) for _ in range(2)])
            self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
            self.wte.weight = self.lm_head.weight
            for name, p in self.named_parameters():
                if name.endswith("c_proj.weight"):
                    nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(4))

        def forward(self, idx, targets):
            pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device)
            x = self.wte(idx) + self.wpe(pos)
            for block in self.h:
                x = block(x)
            logits = self.lm_head(x)
            return F.cross_entropy(
                logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1
            )

    model = GPT().double()
    adopt(model, torch, weights)
    start = arrays_of(model)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    rng, losses = np.random.default_rng(0), []
    for _ in range(STEPS):
        data = torch.from_numpy(rng.integers(0, 32, (4, 13)))
        loss = model(data[:, :-1], data[:, 1:].contiguous())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, start


def vae(torch, weights=None):
    """A convolutional VAE on images, with the Bernoulli likelihood."""
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):
        def __init__(self, latent=3):
            super().__init__()
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2),
                nn.Conv2d(4, 8, 4, 2, 1), nn.ReLU(inplace=True), nn.Flatten(),
            )  # fmt: skip
            self.fc_mu, self.fc_var = nn.Linear(8 * 9, latent), nn.Linear(8 * 9, latent)
            self.decoder_input = nn.Linear(latent, 8 * 9)
            self.decoder = nn.Sequential(
                nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(),
                nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Sigmoid(),
            )  # fmt: skip

        def forward(self, x, eps):
            h = self.encoder(x)
            mu, log_var = self.fc_mu(h), self.fc_var(h)
            z = mu + eps * torch.exp(0.5 * log_var)
            return self.decoder(self.decoder_input(z).view(-1, 8, 3, 3)), mu, log_var

    model = VAE().double()
    adopt(model, torch, weights)
    start = arrays_of(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
    rng, losses = np.random.default_rng(0), []
    model.train()
    for _ in range(STEPS):
        x = torch.from_numpy(rng.uniform(0, 1, (5, 1, 12, 12)))
        recon, mu, log_var = model(x, torch.from_numpy(rng.standard_normal((5, 3))))
        bce = F.binary_cross_entropy(recon, x, reduction="sum")
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        loss = bce / len(x) + kld
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.detach().item())
    model.eval()
    with torch.no_grad():
        losses.append(model(x, torch.zeros(5, 3, dtype=torch.float64))[0].mean().item())
    return losses, start


def gan(torch, weights=None):
    """A WGAN-GP with a spectrally normalised critic."""
    nn, autograd = torch.nn, torch.autograd

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.G = nn.Sequential(
                nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(True), nn.Linear(16, 2), nn.Tanh()
            )
            self.D = nn.Sequential(
                nn.utils.spectral_norm(nn.Linear(2, 16)), nn.LayerNorm(16), nn.SiLU(),
                nn.Linear(16, 16), nn.ELU(), nn.Linear(16, 1),
            )  # fmt: skip

    def gradient_penalty(D, real, fake, alpha):
        interpolates = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        d = D(interpolates)
        gradients = autograd.grad(
            outputs=d, inputs=interpolates, grad_outputs=torch.ones_like(d),
            create_graph=True, retain_graph=True, only_inputs=True,
        )[0]  # fmt: skip
        gradients = gradients.view(gradients.size(0), -1)
        return ((gradients.norm(2, dim=1) - 1) ** 2).mean()

    pair = Pair().double()
    adopt(pair, torch, weights)
    start = arrays_of(pair)
    optimizer_g = torch.optim.Adam(pair.G.parameters(), lr=1e-2, betas=(0.5, 0.9))
    optimizer_d = torch.optim.RMSprop(pair.D.parameters(), lr=1e-3)
    rng, losses = np.random.default_rng(0), []
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape))
    for step in range(STEPS):
        real, z, alpha = draw(6, 2), draw(6, 4), torch.from_numpy(rng.uniform(0, 1, (6, 1)))
        fake = pair.G(z).detach()
        optimizer_d.zero_grad()
        loss = -torch.mean(pair.D(real)) + torch.mean(pair.D(fake))
        loss = loss + 10 * gradient_penalty(pair.D, real.data, fake.data, alpha)
        loss.backward()
        optimizer_d.step()
        losses.append(loss.item())
        if step % 2 == 0:
            optimizer_g.zero_grad()
            generator_loss = -pair.D(pair.G(z)).mean()
            generator_loss.backward()
            optimizer_g.step()
            losses.append(generator_loss.item())
    return losses, start


def score_sde(torch, weights=None):
    """A time-conditioned U-Net by denoising score matching, and an Euler-Maruyama sampler."""
    nn, F = torch.nn, torch.nn.functional
    sigma = 5.0

    class GaussianFourierProjection(nn.Module):
        def __init__(self, dim, scale=3.0):
            super().__init__()
            self.W = nn.Parameter(torch.randn(dim // 2) * scale, requires_grad=False)

        def forward(self, t):
            projected = t[:, None] * self.W[None, :] * 2 * np.pi
            return torch.cat([torch.sin(projected), torch.cos(projected)], dim=-1)

    class Dense(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.dense = nn.Linear(i, o)

        def forward(self, x):
            return self.dense(x)[..., None, None]

    class ScoreNet(nn.Module):
        def __init__(self, c=(4, 8), embed_dim=8):
            super().__init__()
            self.embed = nn.Sequential(
                GaussianFourierProjection(embed_dim), nn.Linear(embed_dim, embed_dim)
            )
            self.conv1 = nn.Conv2d(1, c[0], 3, stride=1, padding=1, bias=False)
            self.dense1, self.gnorm1 = Dense(embed_dim, c[0]), nn.GroupNorm(2, num_channels=c[0])
            self.conv2 = nn.Conv2d(c[0], c[1], 3, stride=2, padding=1, bias=False)
            self.dense2, self.gnorm2 = Dense(embed_dim, c[1]), nn.GroupNorm(4, c[1])
            self.up = nn.Upsample(scale_factor=2, mode="nearest")
            self.tconv1 = nn.Conv2d(c[0] + c[1], 1, 3, padding=1)

        def forward(self, x, t):
            embed = F.silu(self.embed(t))
            h1 = F.silu(self.gnorm1(self.conv1(x) + self.dense1(embed)))
            h2 = F.silu(self.gnorm2(self.conv2(h1) + self.dense2(embed)))
            h = self.tconv1(torch.cat([self.up(h2), h1], dim=1))
            return h / marginal_std(t)[:, None, None, None]

    def marginal_std(t):
        return torch.sqrt((sigma ** (2 * t) - 1.0) / 2.0 / np.log(sigma))

    model = ScoreNet().double()
    adopt(model, torch, weights)
    start = arrays_of(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    rng, losses = np.random.default_rng(0), []
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape))
    for _ in range(STEPS):
        x, t = draw(4, 1, 8, 8), torch.from_numpy(rng.uniform(1e-3, 1, 4))
        z, std = draw(4, 1, 8, 8), marginal_std(t)[:, None, None, None]
        score = model(x + z * std, t)
        loss = torch.mean(torch.sum((score * std + z) ** 2, dim=(1, 2, 3)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    x, times = draw(2, 1, 8, 8), torch.linspace(1.0, 1e-3, 10, dtype=torch.float64)
    dt = times[0] - times[1]
    with torch.no_grad():
        for t in times:
            batch_t = torch.ones(2, device=x.device, dtype=torch.float64) * t
            g = (sigma**batch_t)[:, None, None, None]
            mean = x + (g**2) * model(x, batch_t) * dt
            x = mean + torch.sqrt(dt) * g * draw(2, 1, 8, 8)
    return [*losses, x.clamp(-3, 3).std().item(), mean.abs().max().item()], start


def flow(torch, weights=None):
    """RealNVP on two moons: masked coupling layers, and the way back."""
    nn = torch.nn

    class Coupling(nn.Module):
        def __init__(self, mask):
            super().__init__()
            net = lambda last: nn.Sequential(
                nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 2), *last
            )
            self.s, self.t = net([nn.Tanh()]), net([])
            self.register_buffer("mask", torch.tensor(mask))

        def forward(self, x):
            kept = x * self.mask
            s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
            return kept + (1 - self.mask) * (x * torch.exp(s) + t), s.sum(dim=1)

        def inverse(self, z):
            kept = self.mask * z
            s, t = self.s(kept) * (1 - self.mask), self.t(kept) * (1 - self.mask)
            return kept + (1 - self.mask) * (z - t) * torch.exp(-s)

    class RealNVP(nn.Module):
        def __init__(self):
            super().__init__()
            masks = [[0.0, 1.0], [1.0, 0.0]] * 2
            self.layers = nn.ModuleList(Coupling(mask) for mask in masks)

        def log_prob(self, x):
            log_det = x.new_zeros(x.shape[0])
            for layer in reversed(self.layers):
                x, s = layer(x)
                log_det += s
            return -0.5 * (x.pow(2) + math.log(2 * math.pi)).sum(-1) + log_det, x

        def inverse(self, z):
            for layer in self.layers:
                z = layer.inverse(z)
            return z

    model = RealNVP().double()
    adopt(model, torch, weights)
    start = arrays_of(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, nesterov=True)
    rng, losses = np.random.default_rng(0), []
    for _ in range(STEPS):
        angle = rng.uniform(0, np.pi, 32)
        side = rng.integers(0, 2, 32)
        moons = np.stack([np.cos(angle) * (1 - 2 * side) + side, np.sin(angle) * (1 - 2 * side)], 1)
        x = torch.as_tensor(moons)
        log_prob, z = model.log_prob(x)
        loss = -log_prob.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        _, z = model.log_prob(x)
        assert torch.allclose(model.inverse(z), x)
    return losses, start


PROGRAMS = [gpt, vae, gan, score_sde, flow]
