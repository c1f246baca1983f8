"""Which runs are one system: those whose configurations differ in nothing but the seed.

The key of a system is a hash of the configuration without what does not change the result: seed, name, tags,
note, the name of the preset, trackers and the cluster. Where a configuration refers to another run, by the
folder of its checkpoint or by its name or id, that run's key stands instead, so that the students of several
seeds, evaluated elsewhere, are one system too. A setting that a record lacks, because the version that made
it did not have it, counts as its default.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from engine.config.fields import with_defaults
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS
from engine.flatten import flatten
from engine.results.queries import ask
from engine.results.run_names import resolve_run

IGNORED = ("seed", "name", "tags", "note", "preset", "tracking", "cluster")
"""Settings that do not change the result of a system."""

#: Settings that hold the name or id of a run.
_RUN_SETTINGS = ("run", "runs")


@dataclass(frozen=True)
class RunFacts:
    """What decides on the system of a run: its id, name, kind, state and configuration."""

    id: str
    name: str
    kind: str
    state: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class RunSystem:
    """The runs of one system, one for each seed.

    Attributes
    ----------
    key : str
        A hash of eight hexadecimal digits.
    runs : list of str
        Their ids, by seed.
    seeds : list of str
        The seed of each run. If a run uses other runs that were trained, their seeds follow after a slash.
    name : str
        The names of the runs, as in ``contrast-[0 1 2]``.
    trained : bool
        Whether the seed had an effect on the encoders, here or in a run that is used.
    asked : list of str
        The runs that were asked for; the others were added.
    """

    key: str
    runs: list[str]
    seeds: list[str]
    name: str
    trained: bool
    asked: list[str]

    @property
    def lead(self) -> str:
        """The run that stands for the system: the first that was asked for."""
        return self.asked[0]


class Systems:
    """The systems of a results database.

    Parameters
    ----------
    runs : sequence of RunFacts
        All runs, newest first.
    """

    def __init__(self, runs: Sequence[RunFacts]) -> None:
        self.runs = {run.id: run for run in runs}
        self._keys: dict[str, str] = {}

    @classmethod
    def read(cls, results: Path) -> Systems:
        """Read the runs of the database `results`."""
        rows = ask(
            results, "SELECT id, name, kind, state, config FROM runs ORDER BY created DESC, id DESC"
        ).rows
        return cls(
            [
                RunFacts(
                    str(identity), str(name), str(kind), str(state), json.loads(config) if config else {}
                )
                for identity, name, kind, state, config in rows
            ]
        )

    def key(self, run: str) -> str:
        """Return the key of the system of a run (an id)."""
        if run not in self._keys:
            self._keys[run] = run  # a run that refers to itself is its own key while it is computed
            settings = self._settings(run)
            digest = hashlib.blake2b(
                json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=4
            )
            self._keys[run] = digest.hexdigest()
        return self._keys[run]

    def trained(self, run: str) -> bool:
        """Return whether the seed had an effect on the encoders of a run, or of a run that it uses."""
        return self._trains(run) or any(self.trained(used) for used in self._used(run))

    def _trains(self, run: str) -> bool:
        kind = RUN_KINDS.get(self.runs[run].kind)
        # The kind of an extension that is not installed counts as one that trains.
        return kind is None or kind.loop is not None or kind.trained is not None

    def seed(self, run: str) -> str:
        """Return the seed of a run and of the trained runs that it uses."""
        used = [self.seed(other) for other in self._used(run) if self.trained(other)]
        if used and not self._trains(run):
            return used[0] if len(set(used)) == 1 else "/".join(used)
        seeds = [str(self.runs[run].config.get("seed", 0)), *used]
        return seeds[0] if len(set(seeds)) == 1 else "/".join(seeds)

    def of(self, runs: Sequence[str], asked: Sequence[str] = ()) -> RunSystem:
        """Return the system of `runs` (ids), of which the first of each seed counts.

        `asked` are those that were asked for; without them, all were.

        Raises
        ------
        InputError
            If they are not one system.
        """
        first = runs[0]
        for other in runs[1:]:
            if self.key(other) != self.key(first):
                raise InputError(
                    f"{self._call(first)} and {self._call(other)} are not one system: "
                    f"{self.difference(first, other)}; give each as an argument of its own"
                )
        trained = self.trained(first)
        by_seed: dict[str, str] = {}
        for run in runs:
            by_seed.setdefault(self.seed(run) if trained else "", run)
        seeds = sorted(by_seed, key=_numbers)
        chosen = [by_seed[seed] for seed in seeds]
        names = list(dict.fromkeys(self.runs[run].name for run in chosen))
        return RunSystem(
            self.key(first),
            chosen,
            seeds if trained else [],
            folded_name(names),
            trained,
            [run for run in asked or chosen if run in chosen],
        )

    def siblings(self, run: str) -> list[str]:
        """Return the finished runs of the system of a run, itself first, then the newest first."""
        key = self.key(run)
        return [run] + [
            other
            for other, facts in self.runs.items()
            if other != run
            and facts.state == "finished"
            and facts.kind == self.runs[run].kind
            and self.key(other) == key
        ]

    def find(self, wanted: str) -> list[str]:
        """Return the ids of the runs that an argument means.

        A pattern with ``*``, ``?`` or ``[`` means all finished runs whose names it matches, ``@`` and a key
        those of a system; anything else is one run, as `engine.results.run_names.resolve_run` finds it.

        Raises
        ------
        InputError
            If there is no such run.
        """
        if wanted in self.runs or any(name == wanted for _, name in self._named):
            return [resolve_run(wanted, self._named)]
        if wanted.startswith("@"):
            found = [run for run in self._finished if self.key(run) == wanted[1:]]
            what = f"no finished run of system {wanted!r}"
        elif any(sign in wanted for sign in "*?["):
            found = [run for run in self._finished if fnmatchcase(self.runs[run].name, wanted)]
            what = f"no finished run whose name matches {wanted!r}"
        else:
            return [resolve_run(wanted, self._named)]
        if not found:
            raise InputError(f"there is {what}; `optical-workbench runs` lists them")
        return found

    def choose(self, arguments: Sequence[str]) -> list[RunSystem]:
        """Return the systems that the arguments of a comparison mean, in their order.

        A pattern or a key is one system. Runs that were named one by one and differ in the seed only are
        folded into one, and the finished runs of the same system with other seeds are added. If that leaves
        fewer than two systems, each run that was named is one. So are runs that do not even differ in the
        seed.

        Raises
        ------
        InputError
            If there is no such run, or the runs of a pattern are not one system.
        """
        named: dict[str, list[str]] = {}
        patterns: set[str] = set()
        for argument in arguments:
            found = self.find(argument)
            key = self.key(found[0])
            if len(found) > 1:
                self.of(found)
                patterns.add(key)
            known = named.setdefault(key, [])
            known += [run for run in found if run not in known]
        if len(named) < 2:
            return [self._single(run) for runs in named.values() for run in runs]
        systems = []
        for key, runs in named.items():
            seeds = [self.seed(run) for run in runs]
            if len(set(seeds)) < len(seeds) and key not in patterns:
                systems += [self._single(run) for run in runs]
            else:
                siblings = [run for run in self.siblings(runs[0]) if run not in runs]
                systems.append(self.of([*runs, *siblings], runs))
        return systems

    def _single(self, run: str) -> RunSystem:
        trained = self.trained(run)
        seeds = [self.seed(run)] if trained else []
        return RunSystem(self.key(run), [run], seeds, self.runs[run].name, trained, [run])

    @cached_property
    def _named(self) -> list[tuple[str, str]]:
        return [(run.id, run.name) for run in self.runs.values()]

    @cached_property
    def _finished(self) -> list[str]:
        return [run for run, facts in self.runs.items() if facts.state == "finished"]

    def _call(self, run: str) -> str:
        return f"{self.runs[run].name} ({run})"

    def difference(self, one: str, other: str) -> str:
        """Return how the configurations of two runs differ, in their first setting and as a count."""
        first, second = (flatten(self._settings(run)) for run in (one, other))
        missing = object()
        differing = [
            key
            for key in dict.fromkeys([*first, *second])
            if first.get(key, missing) != second.get(key, missing)
        ]
        if not differing:
            return "they are of different kinds"
        key = differing[0]
        values = " and ".join(
            json.dumps(found[key], default=str) if key in found else "nothing" for found in (first, second)
        )
        more = f", and {counted(len(differing) - 1, 'more setting')}" if len(differing) > 1 else ""
        return f"they differ in {key} ({values}){more}"

    def _settings(self, run: str) -> dict[str, Any]:
        """Return the configuration that decides on the system, with keys in place of the runs it uses."""
        facts = self.runs[run]
        kind = RUN_KINDS.get(facts.kind)
        config = facts.config if kind is None else with_defaults(kind.settings, facts.config)
        kept = {key: value for key, value in config.items() if key not in IGNORED}
        replaced: dict[str, Any] = self._replaced(kept)
        return {"kind": facts.kind, **replaced}

    def _replaced(self, value: Any, setting: str = "") -> Any:
        if isinstance(value, Mapping):
            return {key: self._replaced(item, str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._replaced(item, setting) for item in value]
        used = self._reference(value, setting)
        if used is None:
            return value
        inside = PurePath(value).parts
        rest = inside[inside.index(used) + 1 :] if used in inside else ()
        return "/".join([f"system {self.key(used)}", *rest])

    def _used(self, run: str) -> Iterator[str]:
        """Yield the runs that a run's configuration refers to."""
        for path, value in flatten(dict(self.runs[run].config)).items():
            names = [part for part in path.split(".") if not part.isdigit()]
            for one in value if isinstance(value, list) else [value]:
                used = self._reference(one, names[-1] if names else "")
                if used is not None and used != run:
                    yield used

    def _reference(self, value: Any, setting: str) -> str | None:
        """Return the run that a value of a setting names, or None."""
        if not isinstance(value, str):
            return None
        if setting in _RUN_SETTINGS:
            try:
                return resolve_run(value, self._named)
            except InputError:
                return None
        return next((part for part in PurePath(value).parts if part in self.runs), None)


def folded_name(names: Sequence[str]) -> str:
    """Return one name for several: what they begin and end with, and what differs in brackets."""
    if len(names) < 2:
        return names[0]
    begin = 0
    while all(len(name) > begin and name[begin] == names[0][begin] for name in names):
        begin += 1
    end = 0
    shortest = min(map(len, names))
    while end < shortest - begin and all(name[-1 - end] == names[0][-1 - end] for name in names):
        end += 1
    middles = [name[begin : len(name) - end] for name in names]
    return f"{names[0][:begin]}[{' '.join(middles)}]{names[0][len(names[0]) - end :]}"


def _numbers(seed: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in seed.split("/")]
