"""Sentence pairs: the formats they are stored in, and cleaning, splitting and sampling them."""

from engine.bitext.drops import Drops
from engine.bitext.reader import open_bitext
from engine.bitext.split import sample
from engine.extensions.bitext import SentencePair

__all__ = ["Drops", "SentencePair", "open_bitext", "sample"]
