"""Published multilingual encoders: their pre-training languages, and how these were balanced.

They are loaded by hub id, which needs a network. A field is empty if no source is known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published encoder.

    Attributes
    ----------
    hub_id : str
        What `EncoderConfig.checkpoint` takes.
    architecture : str
        Transformers' model type; of ``mt5`` and ``umt5`` only the encoder is loaded.
    languages : str
        Pre-training languages.
    sampling : str
        How often each was drawn: α of p ∝ n^α, or another scheme.
    balance : str
        A published figure of how unequal the languages are.
    source : str
        The source of languages, sampling and balance.
    """

    hub_id: str
    architecture: str
    languages: str
    sampling: str
    balance: str
    source: str


_XLMR = "arXiv 1911.02116"
_MC4 = "mC4 has 92,000 times as much English as Yoruba"

PUBLISHED = {
    entry.hub_id: entry
    for entry in (
        Published(
            "google-bert/bert-base-multilingual-cased",
            "bert",
            "104",
            "α = 0.7",
            "English 1,000 times Icelandic, 100 times as drawn",
            "github.com/google-research/bert, multilingual.md",
        ),
        Published("FacebookAI/xlm-roberta-base", "xlm-roberta", "100", "α = 0.3", "", _XLMR),
        Published("FacebookAI/xlm-roberta-large", "xlm-roberta", "100", "α = 0.3", "", _XLMR),
        Published("facebook/xlm-v-base", "xlm-roberta", "those of XLM-R's data", "", "", "arXiv 2301.10472"),
        Published(
            "google/mt5-base",
            "mt5",
            "101",
            "α = 0.3 (τ = 3.33)",
            _MC4,
            "arXiv 2010.11934, 2304.09151",
        ),
        Published("google/umt5-base", "umt5", "107", "UniMax", _MC4, "arXiv 2304.09151"),
        Published("cis-lmu/glot500-base", "xlm-roberta", "511", "α = 0.3", "", "arXiv 2305.12182"),
        Published(
            "jhu-clsp/mmBERT-base",
            "modernbert",
            "60, then 110, then 1,833",
            "α = 0.7, then 0.5, then 0.3",
            "",
            "arXiv 2509.06888",
        ),
        Published("sentence-transformers/LaBSE", "bert", "109 and more", "", "", "arXiv 2007.01852"),
        Published("intfloat/multilingual-e5-small", "bert", "XLM-R's", "", "", "arXiv 2402.05672"),
        Published(
            "intfloat/multilingual-e5-base",
            "xlm-roberta",
            "XLM-R's",
            "XLM-R's, from which it starts",
            "",
            "arXiv 2402.05672",
        ),
        Published(
            "intfloat/multilingual-e5-large",
            "xlm-roberta",
            "XLM-R's",
            "XLM-R's, from which it starts",
            "",
            "arXiv 2402.05672",
        ),
        Published(
            "Davlan/afro-xlmr-base",
            "xlm-roberta",
            "XLM-R's, then 17 of Africa, ar, en, fr",
            "XLM-R's first",
            "",
            "arXiv 2204.06487",
        ),
        Published("google/canine-s", "canine", "104", "", "", "arXiv 2103.06874 and its model card"),
    )
}
