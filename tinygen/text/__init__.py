"""Text: tokens and corpora."""

from .tokenizer import CharTokenizer

__all__ = ["CharTokenizer"]
