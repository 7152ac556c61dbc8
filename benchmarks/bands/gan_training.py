"""The training of the GAN examples, in PyTorch: non-saturating loss, R1 and EMA."""

import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm


def trained(G, D, draw, latent, steps, lr, betas, ema, gamma, decay) -> torch.nn.Module:
    """The average of generators G while it is trained against D on batches draw()."""
    optimizers = [torch.optim.Adam(network.parameters(), lr=lr, betas=betas) for network in (D, G)]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, decay(steps)) for o in optimizers]
    average = AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(ema))
    for _ in tqdm(range(steps), disable=None):
        real = draw()
        z = torch.randn(2, len(real), latent)
        step(optimizers[0], discriminator_loss(G, D, real, z[0], gamma))
        D.requires_grad_(False)
        step(optimizers[1], F.softplus(-D(G(z[1]))).mean())
        D.requires_grad_(True)
        for schedule in schedules:
            schedule.step()
        average.update_parameters(G)
        for mine, its in zip(average.module.buffers(), G.buffers()):
            mine.copy_(its)
    return average.module.eval()


def discriminator_loss(G, D, real, z, gamma):
    with torch.no_grad():
        fake = G(z)
    real.requires_grad_(gamma > 0)
    score = D(real)
    loss = F.softplus(-score).mean() + F.softplus(D(fake)).mean()
    if gamma:
        (g,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        loss = loss + gamma / 2 * (g.flatten(1) ** 2).sum(1).mean()
    return loss


def step(optimizer, loss) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
