"""Settings of a collection to evaluate on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, core_schema

from engine.config.base import Settings
from engine.config.bitext import BitextConfig
from engine.extensions.collections import COLLECTIONS, OPTIONAL_SETTINGS, CollectionReader
from engine.registry import OneOf


class CollectionConfig(Settings):
    """One collection to evaluate on."""

    # Keys that are no fields are settings of the collection's own, or errors: see `_check_own_settings`.
    model_config = ConfigDict(extra="allow")

    name: Annotated[str, OneOf(COLLECTIONS)]
    """Bitext retrieval on the sources in `bitext`, a benchmark, a ``folder`` with files in BEIR's or TREC's
    format, or any data set that the library ir_datasets reads."""
    path: str | None = None
    """Its folder; without it, the collection's own folder in the data home."""
    dataset: str | None = None
    """Id of a data set of ir_datasets, such as ``beir/scifact/test``, when `name` is ``ir-datasets``."""
    split: str | None = None
    """Which part of the collection the queries come from, such as ``dev``; without it, the part that papers
    report."""
    languages: list[str] = Field(default_factory=list)
    """Query languages; empty takes all that the collection has. Tatoeba's (of the side that is not English)
    may be the sets ``xtreme`` (36), ``xtreme-r`` (41) or ``all`` (112)."""
    document_languages: list[str] = Field(default_factory=list)
    """Document languages, for collections that have several; empty takes the collection's own."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """The sentence pairs of a bitext collection: one side gives the queries, their translations are
    relevant."""
    distractors: list[str] = Field(default_factory=list)
    """English sentences to add to the pool: files with one sentence a line, or Tatoeba's folder."""
    distractor_bitext: list[BitextConfig] = Field(default_factory=list)
    """Bitext sources whose English sides are added to the pool (direction xx-en only)."""
    upper_line: bool = False
    """Also query a bitext collection with its English sentences, as a further collection: an upper bound of
    cross-lingual transfer."""
    pool: Literal["all", "own"] = "all"
    """Whether the documents of all languages form one pool, where the protocol of the collection says so, or
    each language has a pool of its own."""
    pool_limit: int | None = Field(None, ge=0)
    """Search the judged documents and at most this many others, chosen by a hash, to fit a small machine.
    Scores on such a pool cannot be compared with those on another one (recorded with the scores)."""
    context: bool = False
    """Encode LAReQA's sentences together with their paragraph, as XTREME-R does (slower). The protocol is
    then ``xtreme-r``, otherwise ``sentence``."""
    label: str | None = None
    """Name under which the scores are stored; without it, `name`."""
    directions: list[Literal["xx-en", "en-xx"]] = ["xx-en"]
    """Retrieval directions of bitext and Tatoeba."""
    mining: bool = False
    """Also mine the sentence pairs of bitext and Tatoeba from all sentences: F1 with margin scores, as LASER
    does, and of nearest neighbours, as MTEB does (searches once more)."""
    limit: int | None = Field(None, ge=1)
    """Use a sample of this many queries of each language: the same topics in every language, drawn by a hash
    and evenly from the articles or documents that they belong to (recorded with the scores)."""
    first: int | None = Field(None, ge=1)
    """Use the first queries of each language instead of a sample. They often come from one article
    (recorded with the scores)."""

    @classmethod
    def fields_for(cls, values: Mapping[str, Any] | None = None) -> dict[str, FieldInfo]:
        """Return the settings by name, with the own settings of the collection that `values` names."""
        fields = super().fields_for(values)
        for reader in COLLECTIONS.values():
            if reader.settings is not None and (values is None or values.get("name") == reader.name):
                fields |= reader.settings.model_fields
        return fields

    @property
    def reader(self) -> CollectionReader:
        """The collection that `name` chooses."""
        return COLLECTIONS[self.name]

    @property
    def folder(self) -> str:
        """Its folder: `path`, or the collection's own folder in the data home."""
        return self.path or self.reader.folder or self.name

    @property
    def own_settings(self) -> BaseModel:
        """The settings that only this collection has, as its own settings model.

        Raises
        ------
        TypeError
            If the collection declares no settings model.
        """
        if self.reader.settings is None:
            raise TypeError(f"the collection {self.name!r} declares no settings of its own")
        return self.reader.settings.model_validate(self.model_extra or {})

    @model_validator(mode="after")
    def _check_own_settings(self) -> Self:
        given = self.model_extra or {}
        model = self.reader.settings
        unknown = [name for name in given if model is None or name not in model.model_fields]
        if unknown:
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(type="extra_forbidden", loc=(name,), input=given[name])
                    for name in unknown
                ],
            )
        if model is not None:
            # Defaults are recorded with the run like those of all other settings.
            self.__pydantic_extra__ = model.model_validate(given).model_dump()
        return self

    @model_validator(mode="after")
    def _check_collection(self) -> Self:
        if self.reader.check is not None:
            self.reader.check(self)
        if self.limit is not None and self.first is not None:
            raise ValueError("limit draws a sample and first takes the first queries; give one of them")
        for setting in OPTIONAL_SETTINGS:
            value = getattr(self, setting)
            given = value is not None and value is not False and value != []
            if given and setting not in self.reader.optional_settings:
                raise ValueError(f"the collection {self.name!r} has no {setting}; leave it out")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(schema)
        own = handler.resolve_ref_schema(made)
        own["additionalProperties"] = False
        own["properties"]["name"]["description"] += "".join(
            f"\n\n{reader.name}: {reader.meaning}" for reader in COLLECTIONS.values()
        )
        declared: dict[str, list[dict[str, Any]]] = {}
        for reader in COLLECTIONS.values():
            if reader.settings is not None:
                settings = handler.resolve_ref_schema(handler(reader.settings.__pydantic_core_schema__))
                for name, entry in settings.get("properties", {}).items():
                    described = f"{reader.name}: {entry.get('description', name)}"
                    declared.setdefault(name, []).append({**entry, "description": described})
        for name, entries in declared.items():
            # Several collections may have a setting of the same name.
            descriptions = "\n\n".join(str(entry["description"]) for entry in entries)
            own["properties"][name] = (
                entries[0] if len(entries) == 1 else {"anyOf": entries, "description": descriptions}
            )
        return made
