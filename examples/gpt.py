"""Train a character-level GPT on real text, and let it write.

    python examples/gpt.py                       # the reference manual that every Python ships
    python examples/gpt.py --text shakespeare.txt
    python examples/gpt.py --resume              # after Ctrl-C, or with larger --steps: the
                                                 # further ones at the lowest learning rate

What happens: two to three minutes on two cores; the validation loss falls far below that of
unigrams and bigrams counted on the same text, then below that of a 5-gram model, and the sample at
the end is made of words and of the shapes of sentences. Written into --out: the checkpoint, the
sample, the loss curve and the attention maps.
"""

import argparse
import hashlib
import math
import os
import shlex
import sys

import numpy as np
from common import above_0, not_negative, positive, run_example

import tinygen as tg
from tinygen import viz
from tinygen.models.gpt import GPT, GPTConfig
from tinygen.nn import functional as F
from tinygen.optim.lr_scheduler import WarmupCosineLR
from tinygen.serialization import CheckpointError
from tinygen.text import (
    CharTokenizer,
    NGram,
    RandomWindows,
    python_docs_text,
    read_text,
    train_val_split,
)
from tinygen.train import Trainer

STEPS = 4000
PROMPT = "The "
NGRAMS = (1, 2, 5)  # orders of the models to compare with


def parse_arguments(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a character-level GPT on real text, and let it write."
    )
    add = parser.add_argument
    add("--text", metavar="FILE", help="a UTF-8 text (default: Python's reference manual)")
    add("--out", metavar="DIR", default="runs/gpt", help="where results go (%(default)s)")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add("--steps", type=positive, help=f"training steps in all ({STEPS})")
    add(
        "--seed",
        type=not_negative,
        default=1337,
        help="of the weights and the batches (%(default)s)",
    )
    add("--prompt", help="what the sample begins with (default: The)")
    add("--sample", type=positive, default=600, help="characters to sample (%(default)s)")
    add("--temperature", type=above_0, default=0.8, help="lower is safer (%(default)s)")
    add = parser.add_argument_group("the model and its training").add_argument
    add("--n-layer", type=positive, default=4, help="blocks (%(default)s)")
    add("--n-head", type=positive, default=4, help="attention heads in each (%(default)s)")
    add("--n-embd", type=positive, default=128, help="width, a multiple of n-head (%(default)s)")
    add("--block-size", type=positive, default=64, help="characters it looks back (%(default)s)")
    add("--batch-size", type=positive, default=12, help="windows in a step (%(default)s)")
    add("--dropout", type=float, default=0.0, help="(%(default)s)")
    add("--lr", type=float, default=4e-3, help="learning rate; ends at a hundredth (%(default)s)")
    add("--weight-decay", type=float, default=0.1, help="(%(default)s)")
    add("--eval-every", type=positive, default=300, help="steps between (%(default)s)")
    return parser.parse_args(argv)


def main(argv=None) -> int:
    return run_example(run, parse_arguments(argv))


def run(args) -> int:
    checkpoint = os.path.join(args.out, "checkpoint.safetensors")
    text = read_text(args.text) if args.text else python_docs_text()
    if args.resume:
        adopt_settings(args, tg.load(checkpoint), text)
    args.steps = args.steps or STEPS
    tokenizer = CharTokenizer.train(text)
    prompt = tokenizer.encode(args.prompt or (PROMPT if set(PROMPT) <= set(text) else text[0]))
    train_ids, val_ids = train_val_split(np.array(tokenizer.encode(text)))
    if len(val_ids) <= args.block_size:
        raise ValueError(
            f"the text has {len(text):,} characters, and a tenth of them is for validation: too "
            f"few for --block-size {args.block_size}, which needs {10 * (args.block_size + 1):,}"
        )
    trainer = make_trainer(args, tokenizer.vocab_size, train_ids, checkpoint)
    if args.resume:
        trainer.resume()
    trainer.about = {"settings": settings_of(args), "text": fingerprint(text)}
    print(
        f"{len(text):,} characters, {tokenizer.vocab_size} of them different; "
        f"{sum(p.numel() for p in trainer.model.parameters()):,} parameters"
    )
    finished = trainer.fit(
        args.steps,
        eval_every=args.eval_every,
        evaluate=lambda: {"val": validation_loss(trainer.model, val_ids, windows=64)},
        units_per_step=args.batch_size * args.block_size,
        unit="char",
    )
    if not finished:
        again = [argument for argument in sys.argv if argument != "--resume"]
        command = shlex.join(["python", *again, "--resume"])
        print(f"stopped after step {trainer.step}, saved to {checkpoint}; to go on:\n  {command}")
        return 130
    report(args, trainer, tokenizer, train_ids, val_ids, prompt)
    return 0


def make_trainer(args, vocab_size: int, train_ids, checkpoint: str) -> Trainer:
    """The model with its optimizer, learning-rate schedule and data: nanoGPT's recipe."""
    tg.manual_seed(args.seed)
    config = GPTConfig(
        vocab_size,
        args.block_size,
        args.n_layer,
        args.n_head,
        args.n_embd,
        args.dropout,
        bias=False,
    )
    model = GPT(config)
    groups = model.parameter_groups(args.weight_decay)
    optimizer = tg.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.99))
    warmup = min(100, args.steps // 10)
    schedule = WarmupCosineLR(optimizer, warmup, args.steps, min_lr=args.lr / 100)
    batches = RandomWindows(train_ids, args.block_size, args.batch_size)
    return Trainer(
        model, optimizer, batches, language_model_loss, scheduler=schedule, checkpoint=checkpoint
    )


def language_model_loss(model: GPT, batch) -> tg.Tensor:
    """Mean cross-entropy of a batch (x, y) of windows, in nats per character."""
    x, y = batch
    return model(tg.from_numpy(x), tg.from_numpy(y))[1]


@tg.no_grad()
def validation_loss(
    model: GPT, ids: np.ndarray, windows: int | None = None, skip: int = 0
) -> float:
    """Mean cross-entropy on `ids`, in nats per character, in windows of block_size.

    windows: how many, evenly spread over the text; None: as many as it takes for all of the text.
    skip: leave out the first `skip` predictions of a window, which have the least to go by. The
        windows overlap by as much, so that each character is counted once all the same.
    """
    size = model.config.block_size
    starts = np.arange(0, len(ids) - size, size - skip)
    if windows is not None:
        starts = starts[np.linspace(0, len(starts) - 1, min(windows, len(starts))).astype(int)]
    places = starts[:, None] + np.arange(size)
    model.eval()
    total = 0.0
    for at in np.array_split(places, -(-len(places) // 32)):
        logits, _ = model(tg.from_numpy(ids[at]))
        logits, targets = logits[:, skip:], tg.from_numpy(ids[at + 1][:, skip:])
        losses = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        total += losses.item() * len(at)
    return total / len(places)


# ---- Resuming ------------------------------------------------------------------------------------

SETTINGS = ("steps", "seed", "n_layer", "n_head", "n_embd", "block_size", "batch_size", "dropout",
            "lr", "weight_decay", "eval_every")  # fmt: skip


def settings_of(args) -> dict:
    return {name: getattr(args, name) for name in SETTINGS}


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def adopt_settings(args, state: dict, text: str) -> None:
    """Take the settings of the run that is resumed; only --steps may be another."""
    about = state.get("about") if isinstance(state, dict) else None
    if not isinstance(about, dict) or not {"settings", "text"} <= about.keys():
        raise CheckpointError(f"the checkpoint in {args.out} is not one of gpt.py")
    if about["text"] != fingerprint(text):
        raise CheckpointError(
            f"the checkpoint in {args.out} was trained on another text; give the same --text"
        )
    steps = args.steps
    vars(args).update(about["settings"])
    args.steps = steps or args.steps


# ---- What came of it -----------------------------------------------------------------------------


def report(args, trainer: Trainer, tokenizer: CharTokenizer, train_ids, val_ids, prompt) -> None:
    """Compare with n-gram models, sample, draw."""
    model, half = trainer.model, args.block_size // 2
    losses = {f"{n}-gram" if n > 2 else ["unigram", "bigram"][n - 1]:
              NGram(n, tokenizer.vocab_size).fit(train_ids).cross_entropy(val_ids)
              for n in NGRAMS}  # fmt: skip
    gpt = validation_loss(model, val_ids, skip=half)
    print("\nvalidation loss per character   nats    bits")
    for name, loss in {**losses, "GPT": gpt}.items():
        print(f"  {name:27s} {loss:7.4f} {loss / math.log(2):7.4f}")
    print(
        f"(GPT: each character predicted from at least the {half} before it; from the first of a "
        f"window on: {validation_loss(model, val_ids):.4f} nats)"
    )
    best = min(losses, key=losses.get)
    verdict = "beats" if gpt < losses[best] else "does not beat"
    print(f"the GPT {verdict} the {best}: {losses[best] - gpt:+.4f} nats")

    ids = model.generate(
        tg.tensor([prompt]), args.sample, do_sample=True, temperature=args.temperature, top_p=0.95
    )
    sample = tokenizer.decode(ids[0])
    print(f"\n{'-' * 80}\n{sample}\n{'-' * 80}")
    with open(os.path.join(args.out, "sample.txt"), "w", encoding="utf-8") as file:
        file.write(sample + "\n")
    draw(args, trainer, tokenizer, {**losses}, val_ids)
    print(f"\n{args.out}/: checkpoint.safetensors, sample.txt, loss.png, attention.png")


def draw(args, trainer: Trainer, tokenizer: CharTokenizer, levels: dict, val_ids) -> None:
    """The loss curve beside the n-gram models, and who looks at whom in a piece of unseen text."""
    at = [e["step"] for e in trainer.evaluations], [e["val"] for e in trainer.evaluations]
    viz.loss_curve(
        trainer.losses["loss"], {"validation": at}, levels,
        ylabel="nats per character", title="A character-level GPT learns its text",
    ).savefig(os.path.join(args.out, "loss.png"))  # fmt: skip
    piece = val_ids[: min(40, args.block_size)]
    viz.attention_maps(
        trainer.model.attention_maps(tg.tensor(piece[None])), tokenizer.decode(piece),
        title="Attention: each row is a character, and shows where it looks",
    ).savefig(os.path.join(args.out, "attention.png"))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
