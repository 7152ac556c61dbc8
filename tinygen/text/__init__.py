"""Text: tokens and corpora."""

from .corpus import RandomWindows, python_docs_text, read_text, train_val_split
from .tokenizer import CharTokenizer

__all__ = ["CharTokenizer", "RandomWindows", "python_docs_text", "read_text", "train_val_split"]
