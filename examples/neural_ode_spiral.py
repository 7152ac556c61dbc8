"""Learn a spiral: a ResNet of four layers, and an ODE, a network of any depth (Chen et al. 2018).

    python examples/neural_ode_spiral.py
    python examples/neural_ode_spiral.py --steps 2000 --out runs/spiral

What happens: less than a minute on two cores. Both models see where points of the plane are carried
by a flow that spirals inwards, at four times. The ResNet has a layer for the way from each time to
the next; the neural ODE has one small network, dy/dt = f(y), and solves for any time. On new points
the ODE is closer, with a fourth of the parameters, and it knows the way between the observations,
too. Gradients go through the steps of the solver; those of the adjoint equation are the same, in
memory that does not depend on the number of steps. Written into --out: spiral.png, with discrete
and continuous depth side by side, and the memory measured.
"""

import os
import sys
import tracemalloc

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import nn, viz
from tinygen.ode import odeint, odeint_adjoint
from tinygen.train import DrawnBatches, Trainer

LAYERS, END = 4, 1.5  # observations after the first, and the time of the last
TIMES = np.linspace(0, END, LAYERS + 1)
STEP_COUNTS = (10, 20, 40, 80)  # for which memory is measured
EXPECTED = {  # what: (at least, at most)
    "error of the neural ODE": (0.0, 0.03),
    "error of the ResNet / of the ODE": (1.3, 100.0),
    "the same, between the observations": (2.2, 1000.0),
    "gradients, adjoint against the steps": (0.0, 1e-4),
    "memory of 80 steps / of 10, adjoint": (0.9, 1.2),
    "memory of 80 steps / of 10, through the steps": (5.0, 9.0),
}


# ---- The data ------------------------------------------------------------------------------------


def spiral(t, y):
    """The true flow: inwards, and round the faster the further out."""
    radius = (y * y).sum(-1, keepdim=True)
    around = tg.stack([-y[..., 1], y[..., 0]], -1)
    return -0.25 * y + (0.5 + radius) * around


@tg.no_grad()
def trajectories(points: int, times: np.ndarray) -> tg.Tensor:
    """Where random points of the disc of radius 1.5 are carried: [times, points, 2]."""
    angle, radius = tg.rand(points) * 2 * np.pi, 1.5 * tg.rand(points).sqrt()
    starts = tg.stack([radius * tg.cos(angle), radius * tg.sin(angle)], -1)
    return odeint(spiral, starts, tg.tensor(times, dtype=tg.float64), rtol=1e-6, atol=1e-6)


# ---- The models ----------------------------------------------------------------------------------


def network(width: int = 32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                         nn.Linear(width, 2))  # fmt: skip


class ResNet(nn.Module):
    """y ← y + fₖ(y): one layer a step, each with weights of its own."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([network() for _ in range(LAYERS)])

    def forward(self, y: tg.Tensor) -> tg.Tensor:
        """[points, 2] -> [LAYERS + 1, points, 2]"""
        states = [y]
        for layer in self.layers:
            states.append(states[-1] + layer(states[-1]))
        return tg.stack(states)


class NeuralODE(nn.Module):
    """dy/dt = f(y): as many steps as the tolerance asks for, all with the same weights."""

    def __init__(self):
        super().__init__()
        self.field = Field()

    def forward(self, y: tg.Tensor, times: np.ndarray = TIMES) -> tg.Tensor:
        """[points, 2] -> [times, points, 2]"""
        t = tg.tensor(times, dtype=tg.float64)
        return odeint(self.field, y, t, rtol=1e-3, atol=1e-3)


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, t: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return self.network(y)


def distance(model: nn.Module, paths: tg.Tensor) -> tg.Tensor:
    """The mean squared distance to the paths [times, points, 2]."""
    return ((model(paths[0]) - paths) ** 2).mean()


def train(model: nn.Module, paths: tg.Tensor, steps: int) -> None:
    """Minimise the distance to the paths [times, points, 2], in batches of 64."""
    optimizer = tg.optim.Adam(model.parameters(), lr=5e-3)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = DrawnBatches(lambda: paths[:, tg.randint(0, paths.shape[1], (64,))])
    if not Trainer(model, optimizer, batches, distance, scheduler=schedule).fit(steps):
        raise KeyboardInterrupt


def error(found: tg.Tensor, truth: tg.Tensor) -> float:
    """The root mean square distance between paths [times, points, 2]."""
    return float(np.sqrt(((found.array - truth.array) ** 2).sum(-1).mean()))


def between(states: np.ndarray) -> np.ndarray:
    """States half-way between the layers of a ResNet, on the straight line."""
    return (states[1:] + states[:-1]) / 2


# ---- Memory --------------------------------------------------------------------------------------


def memory(interface, steps: int) -> float:
    """Mebibytes that a solution of so many steps and its gradient need at their peak."""
    field, y0 = Field(), tg.randn(256, 2)
    tracemalloc.start()
    y = interface(field, y0, tg.tensor([0.0, 1.0]), method="rk4",
                  options={"step_size": 1 / steps})  # fmt: skip
    y[-1].sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def disagreement(field: nn.Module, paths: tg.Tensor) -> float:
    """The relative difference of the gradients by the adjoint and through the steps."""
    found = []
    for interface in (odeint, odeint_adjoint):
        y = interface(field, paths[0], tg.tensor(TIMES), rtol=1e-5, atol=1e-5)
        gradients = tg.autograd.grad(((y - paths) ** 2).mean(), list(field.parameters()))
        found.append(tg.cat([g.reshape(-1) for g in gradients]).numpy())
    return float(np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0]))


# ---- What came of it -----------------------------------------------------------------------------


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "spiral", steps=1500).parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    fine = np.linspace(0, END, 2 * LAYERS + 1)  # every second one lies between the observations
    paths, test = trajectories(512, TIMES), trajectories(512, fine)
    resnet, neural_ode = ResNet(), NeuralODE()
    train(resnet, paths, args.steps)
    train(neural_ode, paths, args.steps)
    with tg.no_grad():
        of_resnet, of_ode = resnet(test[0]), neural_ode(test[0], fine)
    errors = {"ResNet": error(of_resnet, test[::2]), "neural ODE": error(of_ode[::2], test[::2])}
    unseen = {
        "ResNet": error(tg.tensor(between(of_resnet.array)), test[1::2]),
        "neural ODE": error(of_ode[1::2], test[1::2]),
    }
    interfaces = {"through the steps": odeint, "adjoint": odeint_adjoint}
    used = {
        name: [memory(interface, n) for n in STEP_COUNTS] for name, interface in interfaces.items()
    }

    print("\nerror on new points        parameters   at observations   between them")
    for name, model in (("ResNet", resnet), ("neural ODE", neural_ode)):
        count = sum(p.numel() for p in model.parameters())
        print(f"  {name:24s} {count:10,} {errors[name]:17.4f} {unseen[name]:14.4f}")
    print("\nmemory of a gradient, MiB   " + "".join(f"{n:6d} steps" for n in STEP_COUNTS))
    for name, values in used.items():
        print(f"  {name:26s}" + "".join(f"{value:12.2f}" for value in values))
    draw(args.out, resnet, neural_ode, used)
    print(f"\n{args.out}/spiral.png\n")
    return check({
        "error of the neural ODE": errors["neural ODE"],
        "error of the ResNet / of the ODE": errors["ResNet"] / errors["neural ODE"],
        "the same, between the observations": unseen["ResNet"] / unseen["neural ODE"],
        "gradients, adjoint against the steps": disagreement(neural_ode.field, paths[:, :64]),
        "memory of 80 steps / of 10, adjoint": used["adjoint"][-1] / used["adjoint"][0],
        "memory of 80 steps / of 10, through the steps":
            used["through the steps"][-1] / used["through the steps"][0],
    })  # fmt: skip


def check(measured: dict[str, float]) -> int:
    """Print what was expected and measured; 1 if something lies outside of what was expected."""
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


@tg.no_grad()
def draw(out: str, resnet: ResNet, neural_ode: NeuralODE, used: dict[str, list[float]]) -> None:
    """The layers of the one, the flow of the other, and what their gradients cost in memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    fine = np.linspace(0, END, 400)
    angles = np.linspace(0, 2 * np.pi, 6)[:-1]
    starts = tg.tensor(1.4 * np.stack([np.cos(angles), np.sin(angles)], -1), dtype=tg.float32)
    truth = odeint(spiral, starts, tg.tensor(fine, dtype=tg.float64), rtol=1e-6, atol=1e-6).array
    layers, flow = resnet(starts).array, neural_ode(starts, fine).array
    at = neural_ode(starts).array
    side = np.linspace(-1.6, 1.6, 17)
    grid = np.stack(np.meshgrid(side, side), -1)
    arrows = neural_ode.field(tg.tensor(0.0), tg.tensor(grid, dtype=tg.float32)).array
    middle.quiver(grid[..., 0], grid[..., 1], arrows[..., 0], arrows[..., 1], color="#cccccc",
                  width=0.003)  # fmt: skip
    for i in range(len(starts)):
        for axes, lines, dots in ((left, layers, layers), (middle, flow, at)):
            axes.plot(*truth[:, i].T, color=viz.GREY, linewidth=3, alpha=0.45)
            colour = viz.COLOURS[i % len(viz.COLOURS)]
            axes.plot(*lines[:, i].T, color=colour, linewidth=1.2)
            axes.plot(*dots[:, i].T, "o", color=colour, markersize=3.5)
    left.set_title(f"ResNet: {LAYERS} layers, straight from one to the next")
    middle.set_title("neural ODE: one field, followed")
    for axes in (left, middle):
        axes.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal", xlabel="grey: the true flow")
    for colour, (name, values) in zip(viz.COLOURS, used.items()):
        right.plot(STEP_COUNTS, values, "o-", color=colour, label=name)
    right.set(xscale="log", yscale="log", xlabel="steps of the solver", ylabel="MiB",
              title="peak memory of a gradient", xticks=STEP_COUNTS,
              xticklabels=map(str, STEP_COUNTS))  # fmt: skip
    right.minorticks_off()
    right.legend(frameon=False)
    figure.savefig(os.path.join(out, "spiral.png"))


if __name__ == "__main__":
    sys.exit(main())
