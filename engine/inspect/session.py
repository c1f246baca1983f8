"""Everything that is kept in memory between searches and plans."""

from __future__ import annotations

from engine.inspect.cache import Cache
from engine.inspect.opening import Searchers
from engine.inspect.plan import Planner


class Session:
    """Searches and plans that share one cache of encoders, collections and document vectors.

    Attributes
    ----------
    cache : Cache
    searchers : Searchers
    planner : Planner
    """

    def __init__(self) -> None:
        self.cache = Cache()
        self.searchers = Searchers(self.cache)
        self.planner = Planner(self.cache)
