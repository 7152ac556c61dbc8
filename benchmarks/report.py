"""What was measured, as a page: tables by section with the goals beside them, and a plot.

The figures are kept in `results.json`, so that one suite can be measured anew by itself. Those of
another machine, or of other versions, are not mixed with them but dropped.
"""

import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .runner import Result

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results.json"
PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "images" / "benchmarks.png"
OTHERS = ("torch", "torch.compile", "jax", "numpy", "torchsde", "diffrax")
PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib")


@dataclass(eq=False)
class Section:
    """Cases of a suite whose names match, and what the geometric mean of tinygen's time ÷ that of
    each engine is to be at most."""

    title: str
    suite: str
    pattern: str = ""
    goals: dict[str, float] = field(default_factory=dict)
    unit: str = "ms"


SECTIONS = (
    Section("Training steps", "steps", "", {"torch": 0.75, "torch.compile": 0.85}),
    Section("GEMM, square and of training steps", "gemm", r"square|gradient|forward",
            {"torch": 1.05}),
    Section("GEMM, small and batched", "gemm", r"small|batched", {"torch": 0.8}),
    Section("Attention, full, forward and backward", "attention", "full", {"torch": 0.95}),
    Section("Attention, causal, forward and backward", "attention", "causal", {"torch": 0.65}),
    Section("Layer norm, cross-entropy, GELU, forward and backward", "rows",
            r"(?i)layer.?norm|cross|gelu", {"torch": 0.6}),
    Section("Other row and elementwise kernels", "rows",
            r"(?i)^(?!.*(layer.?norm|cross|gelu))"),
    Section("Convolution, forward and backward", "conv", "", {"torch": 1.0}),
    Section("AdamW, 0.2 million parameters", "optimizers", r"(?i)adamw.*0\.2", {"torch": 0.3}),
    Section("AdamW, 20 million parameters", "optimizers", r"(?i)adamw.*20", {"torch": 1.0}),
    Section("Other optimizers", "optimizers", r"(?i)^(?!.*adamw.*(0\.2|20))"),
    Section("Random numbers", "random_numbers"),
    Section("Layers of image models, forward and backward", "layers"),
    Section("Calls of ops on 16 × 16, one thread", "op_overhead"),
    Section("Paths of a stochastic equation", "sde", "", {"numpy": 0.1, "torch": 0.5, "jax": 0.5}),
    Section("Sampling with the U-Net of the digits", "sampling", "", {"torch": 0.8}),
    Section("Time against size", "scaling"),
    Section("Peak of memory of training steps", "memory", unit="MB"),
)  # fmt: skip
PER_UNIT = {"ms": 1e3, "MB": 1e-6}


def machine(threads: int) -> dict[str, str]:
    """What the figures depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"CPU": cpu_model(), "cores": str(os.cpu_count()), "threads": str(threads),
            "system": f"{platform.system()} {platform.machine()}",
            "Python": platform.python_version(), **versions}  # fmt: skip


def cpu_model() -> str:
    try:
        return re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


# ---- One line ------------------------------------------------------------------------------------


def line(result: Result, unit: str = "ms") -> str:
    """What is printed as soon as a case is measured."""
    cells = [f"{name} {PER_UNIT[unit] * value:9.3f} {unit}"
             for name, value in result.values.items()]  # fmt: skip
    ratios = [f"÷ {name} {ratio:5.2f}" for name, ratio in result.ratios.items()]
    return f"{result.case:36s} " + "   ".join(cells + ratios)


def geometric_mean(values) -> float:
    return math.exp(statistics.mean(math.log(value) for value in values))


def means(results: list[Result]) -> dict[str, float]:
    """For each engine the geometric mean of the ratios to it."""
    found = {name: [r.ratios[name] for r in results if name in r.ratios] for name in OTHERS}
    return {name: geometric_mean(ratios) for name, ratios in found.items() if ratios}


def slopes(results: list[Result]) -> dict[str, dict[str, float]]:
    """For cases named "what, size": the exponent a of time ~ size^a, by what is done and engine."""
    points: dict = {}
    for result in results:
        what, _, size = result.case.rpartition(", ")
        for engine, seconds in result.values.items():
            points.setdefault(what, {}).setdefault(engine, []).append((int(size), seconds))
    return {what: {engine: float(np.polyfit(*np.log(np.transpose(found)), 1)[0])
                   for engine, found in engines.items()}
            for what, engines in points.items()}  # fmt: skip


# ---- Kept figures --------------------------------------------------------------------------------


def keep(results: list[Result], threads: int) -> dict:
    """Put new figures in the place of old ones of the same cases; all that are known now."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if known.get("machine") != machine(threads):
        known = {"machine": machine(threads), "results": []}
    new = {(r.suite, r.case): dataclasses.asdict(r) for r in results}
    old = {(r["suite"], r["case"]): r for r in known["results"]}
    known["results"] = list({**old, **new}.values())
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    return known


def by_section(results: list[Result]) -> dict[Section, list[Result]]:
    found = {section: [r for r in results if r.suite == section.suite
                       and re.search(section.pattern, r.case)] for section in SECTIONS}  # fmt: skip
    return {section: cases for section, cases in found.items() if cases}


# ---- The page ------------------------------------------------------------------------------------

HEAD = """# Benchmarks

Written by `python -m benchmarks --write`. A ratio is tinygen's time ÷ the other engine's for the
same work: below 1, tinygen is the faster one. Each engine runs in a process of its own, all take
turns, and what is given is the median of the ratios of neighbouring turns. Training steps begin
with the same weights in every engine, and are timed only after their losses have agreed to the
accuracy of float32. Figures depend on the machine, and on what else it does.

Measured on: {machine}.

![Ratios of tinygen's time to that of PyTorch, torch.compile and JAX](images/benchmarks.png)
"""


def write(results: list[Result], threads: int) -> None:
    """Bring the page and the plot up to date."""
    known = keep(results, threads)
    sections = by_section([Result(**r) for r in known["results"]])
    described = ", ".join(f"{name} {value}" for name, value in known["machine"].items())
    parts = [HEAD.format(machine=described), overview(sections)]
    parts += [table(section, cases) for section, cases in sections.items()]
    PAGE.write_text("\n".join(parts))
    PLOT.parent.mkdir(exist_ok=True)
    plot(sections).savefig(PLOT)


def overview(sections) -> str:
    rows = [
        "## Goals",
        "",
        "| geometric mean of | against | goal | measured |",
        "|---|---|---|---|",
    ]
    for section, cases in sections.items():
        for engine, goal in section.goals.items():
            if engine in means(cases):
                ratio = means(cases)[engine]
                verdict = "" if ratio <= goal else " (missed)"
                rows.append(f"| {section.title} | {engine} | ≤ {goal} | {ratio:.2f}{verdict} |")
    return "\n".join(rows) + "\n"


def table(section: Section, cases: list[Result]) -> str:
    if section.suite == "scaling":
        return scaling_table(section, cases)
    engines = [name for name in OTHERS if any(name in r.ratios for r in cases)]
    rows = [f"## {section.title}", "",
            f"| | tinygen, {section.unit} |" + "".join(f" ÷ {name} |" for name in engines),
            "|---|---|" + "---|" * len(engines)]  # fmt: skip
    for r in cases:
        ratios = [f"{r.ratios[name]:.2f}" if name in r.ratios else "–" for name in engines]
        value = f"{PER_UNIT[section.unit] * r.values['tinygen']:.4g}"
        rows.append(f"| {' | '.join([r.case, value, *ratios])} |")
    mean = means(cases)
    rows.append("| **geometric mean** | |" + "".join(f" **{mean[n]:.2f}** |" for n in engines))
    return "\n".join(rows) + "\n"


def scaling_table(section: Section, cases: list[Result]) -> str:
    engines = list(cases[0].values)
    rows = [f"## {section.title}", ""]
    rows += ["The slope of the logarithm of time over that of size.", ""]
    rows += ["| |" + "".join(f" {name} |" for name in engines), "|---|" + "---|" * len(engines)]
    for what, found in slopes(cases).items():
        rows.append(f"| {what} |" + "".join(f" {found[name]:.2f} |" for name in engines))
    return "\n".join(rows) + "\n"


# ---- The plot ------------------------------------------------------------------------------------


def plot(sections):
    """Every section's geometric mean, and every training step by itself, on a logarithmic scale."""
    from tinygen.viz import COLOURS, GREY, bare, panels

    steps = [(r.case, r.ratios, {}) for s, cases in sections.items() if s.suite == "steps"
             for r in cases]  # fmt: skip
    rows = [(s.title, means(cases), s.goals) for s, cases in sections.items()
            if s.suite not in ("memory", "scaling")]  # fmt: skip
    rows = [(title, ratios, goals) for title, ratios, goals in [*steps, *rows] if ratios]
    figure, ((axes,),) = panels(size=(8, 1.2 + 0.32 * len(rows)))
    for engine, colour, marker in zip(OTHERS, COLOURS, "os^"):
        points = [(ratios[engine], y) for y, (_, ratios, _) in enumerate(rows) if engine in ratios]
        if points:
            axes.plot(*zip(*points), marker, color=colour, label=f"÷ {engine}", zorder=3)
        goals = [(g[engine], y) for y, (_, _, g) in enumerate(rows) if engine in g]
        if goals:
            axes.plot(*zip(*goals), "|", color=colour, markersize=14, markeredgewidth=2,
                      label=f"goal against {engine}")  # fmt: skip
    axes.axvline(1, color=GREY, linewidth=1)
    if steps and len(rows) > len(steps):
        axes.axhline(len(steps) - 0.5, color=GREY, linewidth=0.5, linestyle="--")
    axes.set_xscale("log")
    ticks = [t for t in (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
             if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]]  # fmt: skip
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(rows)), [title for title, _, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.5)
    axes.set_xlabel("tinygen's time ÷ the other engine's (left of 1: tinygen is faster)")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    bare(axes)
    return figure
