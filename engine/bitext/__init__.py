"""Sentence pairs from the formats that bitext comes in."""

from engine.bitext.pairs import Drops, SentencePair
from engine.bitext.reader import open_bitext
from engine.bitext.split import held_out, sample

__all__ = ["Drops", "SentencePair", "held_out", "open_bitext", "sample"]
