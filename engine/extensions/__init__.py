"""What other distributions can add: entry types and their registries, one module for each subject."""

from __future__ import annotations

from typing import Any

from engine.registry import Registry


def registries() -> tuple[Registry[Any], ...]:
    """Return all registries."""
    from engine.extensions.bitext import BITEXT_FORMATS
    from engine.extensions.collections import COLLECTIONS
    from engine.extensions.losses import LOSSES
    from engine.extensions.runs import RUN_KINDS
    from engine.extensions.scorings import SCORINGS
    from engine.extensions.transport import COSTS, MARGINALS, SOLVERS

    return LOSSES, COSTS, MARGINALS, SOLVERS, BITEXT_FORMATS, COLLECTIONS, RUN_KINDS, SCORINGS
