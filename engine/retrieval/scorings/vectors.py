"""Scorings of an encoder's vectors."""

from engine.extensions.scorings import Scoring

MAXSIM = Scoring(
    name="maxsim",
    meaning="late interaction: the mean over query tokens of the largest product with a document token",
    compares="tokens",
    search="engine.retrieval.maxsim:find_maxsim",
    prepare="engine.retrieval.single:SingleSearch",
    batch_scores="engine.retrieval.maxsim:encoded_maxsim",
)

MAXSIM_IVF = Scoring(
    name="maxsim-ivf",
    meaning="late interaction with the `candidates` that FAISS's inverted lists of sentence vectors find: "
    "faster for large pools, but documents that are no candidates are not found",
    compares="tokens",
    first_stage="sentences",
    exact="maxsim",
    search="engine.retrieval.candidates:find_after_lists",
    prepare="engine.retrieval.single:sentence_search",
    settings=("probes", "candidates"),
)

MAXSIM_MUVERA = Scoring(
    name="maxsim-muvera",
    meaning="late interaction with the `candidates` that MUVERA's fixed-dimensional encodings find: faster "
    "for large pools, but documents that are no candidates are not found",
    compares="tokens",
    exact="maxsim",
    search="engine.retrieval.muvera:find_muvera",
    prepare="engine.retrieval.muvera:muvera_search",
    settings=("probes", "candidates"),
)

DENSE = Scoring(
    name="dense",
    meaning="cosine of sentence vectors",
    compares="sentences",
    search="engine.retrieval.dense:find_dense",
    batch_scores="engine.retrieval.dense:encoded_products",
)

DENSE_IVF = Scoring(
    name="dense-ivf",
    meaning="cosine of sentence vectors, searched in FAISS's inverted lists: faster for pools of millions, "
    "but documents outside the lists that are searched are not found",
    compares="sentences",
    search="engine.retrieval.inverted:find_in_lists",
    settings=("probes",),
)
