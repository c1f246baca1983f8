"""The ways in which documents are scored for a query, as figures name them."""

from __future__ import annotations

#: How an encoder's vectors are compared; one run may have figures of several.
OF_ENCODERS = ("maxsim", "dense", "dense-ivf")


def own(scoring: str) -> bool:
    """Tell whether `scoring` is its run's only one, such as ``bm25``, ``tfidf`` or ``rrf``."""
    return scoring not in OF_ENCODERS
