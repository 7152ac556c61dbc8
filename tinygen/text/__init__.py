"""Text: tokens, corpora, and the counting baseline."""

from .corpus import RandomWindows, python_docs_text, read_text, train_val_split
from .ngram import NGram
from .tokenizer import CharTokenizer
from .word_tokenizer import WordTokenizer

__all__ = [
    "CharTokenizer",
    "NGram",
    "RandomWindows",
    "WordTokenizer",
    "python_docs_text",
    "read_text",
    "train_val_split",
]
