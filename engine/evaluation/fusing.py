"""How rankings are fused by the settings of a run, stored rankings and those of single queries alike."""

from __future__ import annotations

from engine.config import FuseConfig, RunHeader
from engine.extensions.scorings import SCORINGS
from engine.retrieval.fusion import Candidates, Floats


def shares_of(config: FuseConfig, found: Candidates) -> Floats:
    """Return each system's share (n, S) in the scores of `found` by the method of `config`."""
    scoring = SCORINGS[config.method]
    settings = {name: getattr(config, name) for name in scoring.settings}
    shares: Floats = scoring.resolve_shares()(found, **settings)
    return shares


def complete_below(lexical: bool, kept: int) -> int | None:
    """Return the number of ranks below which a ranking has every document with a score above 0.

    None where a document that is not found has no score that is known: a lexical search lists only documents
    that share a term with the query, and all others score 0.
    """
    return kept if lexical else None


def kept_ranks(config: RunHeader) -> int | None:
    """Return the number of ranks that a run keeps for each query, if its configuration says so."""
    depth = getattr(config, "depth", getattr(getattr(config, "evaluation", None), "depth", None))
    return None if depth is None else int(depth)
