"""Optical Workbench from Python: run configurations, and use the runs that they leave.

>>> import optical_workbench as ow
>>> run = ow.run("somali.toml")                          # distil and evaluate, as the command line does
>>> run = ow.open_run("somali")                          # or open a run that is finished
>>> run.scores().to_frame()                              # the means of each language
>>> run.search("qandho", language="so")                  # the best documents for a query
>>> run.plan("qandho", "a fever").to_frame()             # where the transport plan moves the mass
>>> ow.results().sql("FROM leaderboard").df()            # the results database

Every name is imported when it is first used, so that importing the package costs nothing: neither torch nor
DuckDB is loaded. Mistakes in the input raise `InputError`, all failures a user can act on `OpticalError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from optical_workbench._installation import check_installation

if TYPE_CHECKING:
    from engine.errors import InputError, OpticalError
    from optical_workbench.databases import Results, results
    from optical_workbench.encoders import Encoder, TextVectors
    from optical_workbench.extensions import register
    from optical_workbench.plans import SentencePlan, TransportPlan, solve
    from optical_workbench.runs import Run, estimate, evaluate, open_run, run
    from optical_workbench.tables import Table

check_installation()

#: The module that defines each public name.
_MODULES = {
    "run": "optical_workbench.runs",
    "open_run": "optical_workbench.runs",
    "evaluate": "optical_workbench.runs",
    "estimate": "optical_workbench.runs",
    "results": "optical_workbench.databases",
    "solve": "optical_workbench.plans",
    "register": "optical_workbench.extensions",
    "Run": "optical_workbench.runs",
    "Encoder": "optical_workbench.encoders",
    "TextVectors": "optical_workbench.encoders",
    "SentencePlan": "optical_workbench.plans",
    "TransportPlan": "optical_workbench.plans",
    "Table": "optical_workbench.tables",
    "Results": "optical_workbench.databases",
    "InputError": "engine.errors",
    "OpticalError": "engine.errors",
}

__all__ = [
    "Encoder",
    "InputError",
    "OpticalError",
    "Results",
    "Run",
    "SentencePlan",
    "Table",
    "TextVectors",
    "TransportPlan",
    "estimate",
    "evaluate",
    "open_run",
    "register",
    "results",
    "run",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
