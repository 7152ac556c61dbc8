"""Gradient checkpointing, at the place where PyTorch has it."""

from tinygen.autograd.checkpoint import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
