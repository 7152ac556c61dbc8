"""The trainer: wherever a run is interrupted, and with however many threads: the same bits."""

import itertools
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import tinygen as tg
from tinygen.kernels import jit
from tinygen.models.gpt import GPT, GPTConfig
from tinygen.optim.lr_scheduler import WarmupCosineLR
from tinygen.serialization import CheckpointError
from tinygen.text import RandomWindows
from tinygen.train import DrawnBatches, Trainer, interruptible

IDS = np.random.default_rng(0).integers(13, size=400)


def loss(model, batch):
    x, y = batch
    return model(tg.from_numpy(x), tg.from_numpy(y))[1]


def make(checkpoint=None, seed=0, width=8, generator=None, **options) -> Trainer:
    """A GPT with all that has state: dropout, AdamW, a schedule, random windows."""
    tg.manual_seed(seed)
    model = GPT(GPTConfig(13, 6, n_layer=1, n_head=2, n_embd=width, dropout=0.2))
    optimizer = tg.optim.AdamW(model.parameter_groups(0.1), lr=1e-2)
    schedule = WarmupCosineLR(optimizer, 5, 20, min_lr=1e-3)
    batches = RandomWindows(IDS, 6, 4, generator)
    return Trainer(
        model, optimizer, batches, loss, scheduler=schedule, checkpoint=checkpoint, **options
    )


def fit(trainer, steps, **options):
    return trainer.fit(steps, progress=False, **options)


def assert_same(a, b):
    """Two nestings of containers and arrays are the same, to the bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_same(x, y)
    elif isinstance(a, tg.Tensor | np.ndarray):
        a, b = (x.array if isinstance(x, tg.Tensor) else x for x in (a, b))
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes()
    else:
        assert a == b


# ---- Training ------------------------------------------------------------------------------------


def test_it_trains():
    trainer = make()
    assert fit(trainer, 20)
    assert trainer.step == len(trainer.losses["loss"]) == 20 and trainer.scheduler.last_epoch == 20
    assert np.mean(trainer.losses["loss"][-5:]) < np.mean(trainer.losses["loss"][:5])
    assert all(p.grad is None for p in trainer.model.parameters())
    assert fit(trainer, 20) and trainer.step == 20  # nothing left to do


def test_one_step_is_the_update_that_one_would_write_by_hand():
    trainer, other = make(grad_clip=0.5), make()
    tg.manual_seed(3)
    found = trainer.train_step()
    tg.manual_seed(3)
    expected = loss(other.model, next(other.batches))
    expected.backward()
    norm = tg.nn.utils.clip_grad_norm_(other.model.parameters(), 0.5)
    assert norm.item() > 0.5  # so that the clipping was of consequence
    other.optimizer.step()
    other.scheduler.step()
    assert found == {"loss": expected.item()} and trainer.losses == {"loss": [expected.item()]}
    assert_same(trainer.model.state_dict(), other.model.state_dict())
    assert_same(trainer.optimizer.state_dict(), other.optimizer.state_dict())


def test_gradients_are_not_clipped_without_a_norm():
    clipped, free = make(grad_clip=1e9), make(grad_clip=None)
    for trainer in (clipped, free):
        tg.manual_seed(3)
        trainer.train_step()
    assert_same(clipped.model.state_dict(), free.model.state_dict())


def test_evaluations_come_every_so_often_and_at_the_end(tmp_path):
    trainer = make(tmp_path / "new" / "run.safetensors")
    saved, modes = [], []

    def evaluate():
        trainer.model.eval()
        saved.append(os.path.exists(trainer.checkpoint))
        return {"val": float(trainer.step)}

    trainer.model.register_forward_hook(lambda model, *_: modes.append(model.training))
    fit(trainer, 11, eval_every=4, evaluate=evaluate)
    assert trainer.evaluations == [{"step": s, "val": float(s)} for s in (4, 8, 11)]
    assert saved == [False, True, True]  # each checkpoint comes after the evaluation
    assert all(modes)  # evaluate left the model in evaluation mode: training went on in its own
    assert tg.load(trainer.checkpoint)["evaluations"] == trainer.evaluations


def test_a_last_evaluation_only():
    trainer = make()
    fit(trainer, 3, evaluate=lambda: {"val": 1.0})
    assert trainer.evaluations == [{"step": 3, "val": 1.0}]
    fit(trainer, 5)
    assert len(trainer.evaluations) == 1


def test_progress_is_shown_with_speed(capsys):
    make().fit(3, evaluate=lambda: {"val": 1.5}, units_per_step=24, unit="char")
    out, err = capsys.readouterr()
    assert not out
    last = err.split("\r")[-1]
    assert "3/3" in last and "loss=" in last and "chars/s=" in last and "val=1.500" in last


# ---- Averages of the weights ---------------------------------------------------------------------


def test_the_average_follows_the_weights_step_by_step():
    trainer = make(ema=0.5)
    assert trainer.ema is not None and not trainer.ema.training
    expected = None
    for _ in range(4):
        trainer.train_step()
        weights = {name: p.detach().numpy().copy() for name, p in trainer.model.named_parameters()}
        expected = weights if expected is None else {
            name: 0.5 * expected[name] + 0.5 * weights[name] for name in weights
        }  # fmt: skip
    for name, p in trainer.ema.module.named_parameters():
        np.testing.assert_allclose(p.detach().numpy(), expected[name], rtol=1e-6, atol=1e-8)


def test_averaging_changes_nothing_in_training():
    plain, averaged = make(), make(ema=0.9)
    for trainer in (plain, averaged):
        tg.manual_seed(3)
        fit(trainer, 3)
    assert_same(plain.model.state_dict(), averaged.model.state_dict())
    assert plain.ema is None


# ---- Several optimizers --------------------------------------------------------------------------


class Pair(tg.nn.Module):
    def __init__(self):
        super().__init__()
        self.G, self.D = tg.nn.Linear(2, 3), tg.nn.Linear(3, 1)


def adversarial(trainer, batch):
    """G wants D(G(x)) to be high, D low: and D sees that G first."""
    fakes = trainer.model.G(batch)
    D = trainer.model.D
    found = {"D": trainer.descend((D(fakes.detach()) ** 2 + D(fakes.detach())).mean(), "D")}
    return {**found, "G": trainer.descend(-D(fakes).mean(), "G")}


def make_pair(checkpoint=None, seed=0, update=adversarial, **options) -> Trainer:
    tg.manual_seed(seed)
    pair = Pair()
    optimizers = {
        "G": tg.optim.Adam(pair.G.parameters(), lr=0.01),
        "D": tg.optim.SGD(pair.D.parameters(), lr=0.1, momentum=0.9),
    }
    schedules = {
        name: tg.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for name, optimizer in optimizers.items()
    }
    batches = DrawnBatches(lambda: tg.randn(4, 2))
    return Trainer(
        pair, optimizers, batches, update=update, scheduler=schedules, checkpoint=checkpoint,
        ema=0.5, ema_of=pair.G, **options,
    )  # fmt: skip


def test_a_step_of_two_optimizers_is_what_one_would_write_by_hand():
    trainer, other = make_pair(grad_clip=None), make_pair()
    tg.manual_seed(3)
    found = trainer.train_step()
    tg.manual_seed(3)
    x, (G, D) = next(other.batches), (other.model.G, other.model.D)
    fakes = G(x)
    d_loss = (D(fakes.detach()) ** 2 + D(fakes.detach())).mean()
    d_loss.backward()
    other.optimizer["D"].step()
    g_loss = -D(fakes).mean()  # D has moved
    g_loss.backward()
    other.optimizer["G"].step()
    assert found == {"D": d_loss.item(), "G": g_loss.item()}
    assert_same(trainer.model.state_dict(), other.model.state_dict())
    assert all(p.grad is None for p in trainer.model.parameters())
    assert {s.last_epoch for s in trainer.scheduler.values()} == {1}
    assert trainer.optimizer["D"].param_groups[0]["lr"] == pytest.approx(0.09)


def test_each_optimizer_has_its_gradients_clipped_by_themselves():
    """The weights of D move by lr · 1e-3 at most in the first step, those of G as they like."""
    trainer = make_pair(grad_clip=1e-3)
    before = {name: p.detach().numpy().copy() for name, p in trainer.model.named_parameters()}
    trainer.train_step()
    moved = {
        name: p.detach().numpy() - before[name] for name, p in trainer.model.named_parameters()
    }
    norm = np.sqrt(sum((moved[f"D.{part}"] ** 2).sum() for part in ("weight", "bias")))
    np.testing.assert_allclose(norm, 0.1 * 1e-3, rtol=1e-3)


def test_only_the_part_that_was_named_is_averaged():
    trainer = make_pair()
    trainer.train_step()
    assert isinstance(trainer.ema.module, tg.nn.Linear)
    assert_same(trainer.ema.module.state_dict(), trainer.model.G.state_dict())


def test_losses_are_kept_and_shown_by_name(capsys):
    trainer = make_pair()
    trainer.fit(3)
    assert {name: len(values) for name, values in trainer.losses.items()} == {"D": 3, "G": 3}
    last = capsys.readouterr().err.split("\r")[-1]
    assert "D=" in last and "G=" in last


def test_resuming_two_optimizers_is_bit_identical(tmp_path):
    straight = make_pair()
    fit(straight, 8)
    fit(make_pair(tmp_path / "run"), 4)
    resumed = make_pair(tmp_path / "run", seed=99)
    resumed.resume()
    assert resumed.step == 4
    fit(resumed, 8)
    assert_same(straight.state_dict(), resumed.state_dict())


def test_a_loss_with_a_name_that_is_not_finite():
    trainer = make_pair(update=lambda trainer, batch: {"D": 1.0, "G": float("inf")})
    with pytest.raises(FloatingPointError, match="the loss G of step 1 is inf; try a lower"):
        fit(trainer, 2)


def test_checkpoints_of_other_parts(tmp_path):
    fit(make_pair(tmp_path / "run"), 1)
    another = make_pair(tmp_path / "run")
    another.optimizer = {"critic": another.optimizer["D"], "G": another.optimizer["G"]}
    with pytest.raises(CheckpointError, match=r"run does not fit .*optimizer critic"):
        another.resume()
    with_place = make_pair(tmp_path / "run")
    with_place.batches = RandomWindows(IDS, 6, 4)
    with pytest.raises(CheckpointError, match=r"run does not fit .*generator"):
        with_place.resume()


def test_drawn_batches_do_not_take_a_place_for_nothing():
    with pytest.raises(ValueError, match="the data of the checkpoint have a place"):
        DrawnBatches(lambda: 0).load_state_dict({"generator": {}})
    assert list(itertools.islice(DrawnBatches(lambda: 7), 3)) == [7, 7, 7]


def test_what_a_step_is_must_be_said_once():
    pair = Pair()
    optimizer = tg.optim.SGD(pair.parameters(), lr=0.1)
    batches = DrawnBatches(lambda: 0)
    with pytest.raises(TypeError, match="a loss, or an update"):
        Trainer(pair, optimizer, batches)
    with pytest.raises(TypeError, match="a loss, or an update"):
        Trainer(pair, optimizer, batches, loss, update=adversarial)
    with pytest.raises(TypeError, match="2 optimizers need an update"):
        Trainer(pair, {"G": optimizer, "D": optimizer}, batches, loss)


def test_an_optimizer_that_is_not_there():
    trainer = make_pair(update=lambda t, x: {"c": t.descend(t.model.G(x).sum(), "critic")})
    with pytest.raises(KeyError, match="there is no optimizer 'critic', but G, D"):
        fit(trainer, 1)


# ---- The same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("own_generator", [False, True])
def test_resuming_is_bit_identical(tmp_path, own_generator):
    def fresh(name, seed):
        generator = tg.Generator(seed + 5) if own_generator else None
        about = {"name": name}
        return make(tmp_path / name, seed, generator=generator, about=about, ema=0.9)

    straight = fresh("straight", 0)
    fit(straight, 20, eval_every=10, evaluate=lambda: {"val": 2.5})

    fit(fresh("run", 0), 10, evaluate=lambda: {"val": 2.5})
    resumed = fresh("run", 99)  # other weights, other random numbers: all must come from the file
    tg.rand(7)
    resumed.resume()
    assert resumed.step == 10
    fit(resumed, 20, evaluate=lambda: {"val": 2.5})

    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("about") == {"name": "straight"} and b.pop("about") == {"name": "run"}
    assert_same(a, b)


def test_a_checkpoint_is_no_window_into_the_running_model(tmp_path):
    trainer = make(tmp_path / "run")
    fit(trainer, 2)
    trainer.save_checkpoint()
    saved = trainer.checkpoint
    state = tg.load(saved)
    trainer.resume()
    trainer.checkpoint = tmp_path / "another"
    fit(trainer, 4)
    assert_same(state, tg.load(saved))


def test_without_evaluations_the_end_is_saved(tmp_path):
    trainer = make(tmp_path / "run")
    fit(trainer, 2)
    assert tg.load(trainer.checkpoint)["step"] == 2


def test_stopping_and_going_on_in_one_process_changes_nothing():
    straight, parts = make(), make()
    tg.manual_seed(1)
    fit(straight, 6)
    tg.manual_seed(1)
    fit(parts, 2)
    fit(parts, 6)
    assert_same(straight.state_dict(), parts.state_dict())


PATHS = [os.path.dirname(os.path.abspath(__file__)), *[p for p in sys.path if p]]


def script(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    """A process of its own that runs `code`, with this file's functions."""
    header = f"import sys\nsys.path[:0] = {PATHS}\nfrom test_train import *\n"
    return subprocess.Popen(
        [sys.executable, "-c", header + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    killed = script(
        """
trainer = make(sys.argv[1])
def evaluate():
    if trainer.step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"val": 2.5}
fit(trainer, 20, eval_every=1, evaluate=evaluate)
""",
        str(tmp_path / "run"),
    )
    _, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err
    states = []
    for resumed in (False, True):
        trainer = make(tmp_path / "run", seed=7) if resumed else make()
        if resumed:
            trainer.resume()
            assert trainer.step == 12
        fit(trainer, 20, eval_every=1, evaluate=lambda: {"val": 2.5})
        states.append(trainer.state_dict())
    assert_same(*states)
    assert os.listdir(tmp_path) == ["run"]  # no temporary file


def larger_run(steps: int = 20) -> bytes:
    """Steps of a GPT for which kernels use threads; all the parameters, and the losses."""
    tg.manual_seed(0)
    model = GPT(GPTConfig(65, 64, n_layer=2, n_head=4, n_embd=64))
    optimizer = tg.optim.AdamW(model.parameter_groups(0.1), lr=1e-3)
    ids = np.random.default_rng(0).integers(65, size=5000)
    trainer = Trainer(model, optimizer, RandomWindows(ids, 64, 12), loss)
    fit(trainer, steps)
    arrays = [p.array for p in model.parameters()]
    return b"".join(x.tobytes() for x in [*arrays, np.array(trainer.losses["loss"])])


def test_the_number_of_threads_changes_no_bit():
    before, found = tg.get_num_threads(), []
    try:
        for threads in (1, 2):
            tg.set_num_threads(threads)
            found.append(larger_run())
            if jit.ENABLED and jit.safe_threads():
                assert (
                    jit.settled.usable == threads
                )  # at least one kernel had enough work for threads
    finally:
        tg.set_num_threads(before)
    assert found[0] == found[1]


def test_threads_change_no_bit_without_numba():
    code = """
import hashlib
print(hashlib.sha256(larger_run(5)).hexdigest(), tg.get_num_threads())
"""
    found = []
    for threads in "12":
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TINYGEN_NUM_THREADS")
        process = script(code, TINYGEN_JIT="0", **dict.fromkeys(names, threads))
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        digest, used = out.split()
        assert used == threads
        found.append(digest)
    assert found[0] == found[1]


# ---- Interruptions -------------------------------------------------------------------------------


def interrupt_at(step: int, times: int = 1):
    """A loss that sends Ctrl-C to its own process in this step."""
    calls = [0]

    def interrupting(model, batch):
        calls[0] += 1
        if calls[0] == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return loss(model, batch)

    return interrupting


def test_ctrl_c_finishes_the_step_and_saves(tmp_path):
    trainer = make(tmp_path / "run")
    trainer.loss = interrupt_at(3)
    handler = signal.getsignal(signal.SIGINT)
    assert fit(trainer, 20) is False
    assert trainer.step == len(trainer.losses["loss"]) == 3
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = make(tmp_path / "run", seed=9)
    resumed.resume()
    assert resumed.step == 3 and fit(resumed, 6)
    after = resumed.state_dict()
    straight = make()
    fit(straight, 6)
    assert_same(after, straight.state_dict())


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    trainer = make(tmp_path / "run")
    trainer.loss = interrupt_at(3, times=2)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, 20)
    assert trainer.step == 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_handler_comes_back_after_an_error_too():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interruptible():
        assert signal.getsignal(signal.SIGINT) is not handler
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_from_outside(tmp_path):
    process = script(
        """
trainer = make(sys.argv[1])
def endless(model, batch):
    if trainer.step == 2:
        print("running", flush=True)
    return loss(model, batch)
trainer.loss = endless
print(trainer.fit(10**6, progress=False), trainer.step)
""",
        str(tmp_path / "run"),
    )
    assert process.stdout.readline() == "running\n", process.stderr.read()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in err, err
    finished, step = out.split()
    assert finished == "False" and tg.load(tmp_path / "run")["step"] == int(step) >= 2


def test_it_runs_in_a_thread_which_gets_no_signals():
    trainer, found = make(), []
    thread = threading.Thread(target=lambda: found.append(fit(trainer, 3)))
    thread.start()
    thread.join()
    assert found == [True] and trainer.step == 3


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint(tmp_path):
    trainer = make(tmp_path / "run")
    fit(trainer, 4, evaluate=lambda: {"val": 1.0})
    before = (tmp_path / "run").read_bytes()
    trainer.loss = lambda model, batch: loss(model, batch) * float("nan")
    with pytest.raises(FloatingPointError, match="the loss of step 5 is nan; try a lower learning"):
        fit(trainer, 6, eval_every=1, evaluate=lambda: {"val": 1.0})
    assert (tmp_path / "run").read_bytes() == before
    trainer.resume()
    assert trainer.step == 4 and len(trainer.losses["loss"]) == 4


# ---- Checkpoints that do not fit -----------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    trainer = make(tmp_path / "run.safetensors")
    fit(trainer, 2)
    trainer.save_checkpoint()
    return trainer.checkpoint


def test_a_truncated_checkpoint(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(
        CheckpointError, match=r"run\.safetensors: not a safetensors file, or not a"
    ):
        make(saved).resume()


@pytest.mark.parametrize(
    "content",
    [
        {"weight": np.zeros(3)},
        {},
        [1, 2],
        7,
        {"model": 3},
        {"model": {}, "optimizer": {}},
    ],
)
def test_a_foreign_checkpoint(saved, content):
    tg.save(content, saved)
    with pytest.raises(CheckpointError, match=r"run\.safetensors does not fit this model"):
        make(saved).resume()


def test_a_checkpoint_that_misses_a_part(saved):
    state = tg.load(saved)
    for part in state:
        tg.save({key: value for key, value in state.items() if key != part}, saved)
        with pytest.raises(CheckpointError, match=rf"run\.safetensors does not fit .*{part}"):
            make(saved).resume()


def test_a_checkpoint_with_parts_of_other_types(saved):
    state = tg.load(saved)
    for part in ("model", "optimizer", "scheduler", "batches", "rng", "losses"):
        tg.save({**state, part: [1, 2]}, saved)
        with pytest.raises(CheckpointError, match=r"run\.safetensors does not fit"):
            make(saved).resume()


def test_a_checkpoint_of_another_model(saved):
    with pytest.raises(
        CheckpointError, match=r"run\.safetensors does not fit (.|\n)*size mismatch"
    ):
        make(saved, width=12).resume()


def test_a_checkpoint_of_another_optimizer(saved):
    trainer = make(saved)
    trainer.optimizer = tg.optim.SGD(trainer.model.parameters(), lr=0.1)
    with pytest.raises(CheckpointError, match=r"run\.safetensors does not fit .*parameter groups"):
        trainer.resume()


def test_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        make(tmp_path / "none").resume()


def test_without_a_file_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = make()
    fit(trainer, 2, evaluate=lambda: {"val": 1.0})
    trainer.save_checkpoint()
    assert os.listdir(tmp_path) == []
