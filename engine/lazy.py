"""Modules that are imported when they are first used.

The modules that declare the built-in losses, costs, marginals and solvers are imported to list them, by the
app too, which must not import torch. They write::

    if TYPE_CHECKING:
        import torch
    else:
        torch = LazyModule("torch")
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands for the module `name`, which is imported when an attribute is read.

    Parameters
    ----------
    name : str
        The full name of the module.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what `inspect` and `pkgutil` ask of every module
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)
