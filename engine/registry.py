"""Registries: objects that are chosen by name, from this distribution or from another one.

A registry collects the entries of one type. The built-in entries are the module-level objects of that type in
the modules of one package, so that a new file adds an entry. Another distribution adds entries with an entry
point in the registry's group, and a script adds one with `Registry.register`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from engine.errors import InputError, OpticalError, nearest


class Entry(Protocol):
    """An entry of a registry: any object with a name."""

    @property
    def name(self) -> str:
        """The name by which the entry is chosen."""


EntryT = TypeVar("EntryT", bound=Entry)


class Registry(Mapping[str, EntryT], Generic[EntryT]):
    """Entries of one type by name. All are imported when the first of them is needed.

    Parameters
    ----------
    title : str
        What an entry is called in messages, such as ``loss``.
    entry : type
        The type of the entries.
    package : str
        The package whose modules hold the built-in entries.
    group : str
        The entry point group of other distributions' entries.
    first : sequence of str
        Names that are listed first, in this order; the others follow by name.
    """

    def __init__(
        self, title: str, entry: type[EntryT], package: str, group: str, first: Sequence[str] = ()
    ) -> None:
        self.title, self.group = title, group
        self._entry, self._package, self._first = entry, package, tuple(first)
        self._entries: dict[str, EntryT] | None = None
        self._added: dict[str, EntryT] = {}
        self._built_in_names: frozenset[str] = frozenset()
        self._subscribers: list[Callable[[], None]] = []
        self.problems: list[str] = []
        """A sentence for each entry point that could not be loaded."""

    def accepts(self, entry: object) -> bool:
        """Return whether `entry` has the type of this registry's entries."""
        return isinstance(entry, self._entry)

    def register(self, entry: EntryT) -> EntryT:
        """Add an entry in this process and return it.

        Raises
        ------
        InputError
            If the name is taken.
        """
        if entry.name in self:
            raise InputError(f"there is already a {self.title} {entry.name!r}; choose another name")
        self._added[entry.name] = entry
        self._changed()
        return entry

    def unregister(self, name: str) -> None:
        """Remove an entry that `register` added."""
        del self._added[name]
        self._changed()

    def subscribe(self, function: Callable[[], None]) -> None:
        """Call `function` after each entry that `register` adds or `unregister` removes."""
        self._subscribers.append(function)

    def _changed(self) -> None:
        self._entries = None
        for function in self._subscribers:
            function()

    def select(self, condition: Callable[[EntryT], bool]) -> Selection[EntryT]:
        """Return a view of the entries that meet `condition`; it follows later changes of the registry."""
        return Selection(self, condition)

    @property
    def built_in(self) -> frozenset[str]:
        """Names of the entries of this distribution."""
        self._load()
        return self._built_in_names

    def get_entry(self, name: str) -> EntryT:
        """Return the entry called `name`.

        Raises
        ------
        InputError
            If there is none; the message names the most similar one.
        """
        if name not in self:
            raise InputError(f"there is no {self.title} {name!r}{nearest(name, list(self))}")
        return self[name]

    def __getitem__(self, name: str) -> EntryT:
        return self._load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def _load(self) -> dict[str, EntryT]:
        if self._entries is None:
            self.problems = []
            found = {entry.name: entry for entry in self._built_in()}
            self._built_in_names = frozenset(found)
            for entry in self._installed():
                if entry.name in found:
                    self.problems.append(
                        f"an installed {self.title} is called {entry.name!r}, as a built-in one is; "
                        "it is not used"
                    )
                else:
                    found[entry.name] = entry
            found.update(self._added)
            places = {name: place for place, name in enumerate(self._first)}
            order = sorted(found, key=lambda name: (places.get(name, len(places)), name))
            self._entries = {name: found[name] for name in order}
        return self._entries

    def _built_in(self) -> Iterator[EntryT]:
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__, f"{self._package}."):
            if not module.ispkg:
                yield from self._entries_in(vars(importlib.import_module(module.name)))

    def _entries_in(self, names: Mapping[str, Any]) -> Iterator[EntryT]:
        seen: set[int] = set()
        for value in names.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, self._entry) and id(item) not in seen:
                    seen.add(id(item))
                    yield item

    def _installed(self) -> Iterator[EntryT]:
        for point in entry_points(group=self.group):
            try:
                value = point.load()
            except Exception as error:  # another distribution may raise anything while it is imported
                self.problems.append(f"the {self.title} {point.name!r} ({point.value}) failed: {error}")
                continue
            items = value if isinstance(value, tuple | list) else (value,)
            wrong = [item for item in items if not isinstance(item, self._entry)]
            if wrong:
                self.problems.append(
                    f"the {self.title} {point.name!r} ({point.value}) is a {type(wrong[0]).__name__}, "
                    f"not a {self._entry.__name__}; it is not used"
                )
                continue
            yield from items


class Selection(Mapping[str, EntryT], Generic[EntryT]):
    """The entries of a registry that meet a condition.

    Parameters
    ----------
    registry : Registry
    condition : callable
        Whether an entry belongs to the selection.
    """

    def __init__(self, registry: Registry[EntryT], condition: Callable[[EntryT], bool]) -> None:
        self._registry, self._condition = registry, condition

    def __getitem__(self, name: str) -> EntryT:
        entry = self._registry[name]
        if not self._condition(entry):
            raise KeyError(name)
        return entry

    def __iter__(self) -> Iterator[str]:
        return (name for name, entry in self._registry.items() if self._condition(entry))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class OneOf:
    """Annotation of a setting whose value is a name in a registry: ``Annotated[str, OneOf(COSTS)]``.

    The JSON schema and the launch form list the names that are registered when they are made.

    Parameters
    ----------
    registry : Registry or Selection
        Where the names come from.
    besides : sequence of str
        Further values that are allowed, listed first, such as ``auto``.
    """

    def __init__(self, registry: Mapping[str, Any], besides: Sequence[str] = ()) -> None:
        self.registry, self.besides = registry, tuple(besides)

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed values."""
        return (*self.besides, *self.registry)

    def check(self, value: str) -> str:
        """Return `value` if it is allowed."""
        known = self.choices
        if value not in known:
            *others, last = (repr(name) for name in known)
            listed = f"{', '.join(others)} or {last}" if others else last
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": listed})
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(core_schema.str_schema()), "enum": list(self.choices)}


def describe(text: str, entries: Mapping[str, Any]) -> str:
    """Return the description of a setting that names an entry: `text`, then each name with its meaning."""
    return f"{text} {'; '.join(f'{name}: {entry.meaning}' for name, entry in entries.items())}."


def resolve_reference(reference: str) -> Any:
    """Import the object that ``module:attribute`` names. Entries refer in this way to slow modules.

    Raises
    ------
    OpticalError
        If there is no such module or attribute.
    """
    module, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OpticalError(f"{reference} cannot be imported: {error}") from error
