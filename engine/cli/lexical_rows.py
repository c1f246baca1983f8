"""Figures of runs without an encoder beside those of encoders.

An encoder is asked in two ways, by token vectors and by sentence vectors, and figures of the two share no
table. A run of words, a fusion or a re-ranking has one way of its own instead, and stands beside either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.cli.figures import Group
from engine.results.scorings import own


def beside(chosen: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the groups of several runs, those of an own scoring under the keys of what they stand beside.

    Their rows still tell their own scoring.
    """
    every = [group.key for groups in chosen for group in groups]
    asked = list(dict.fromkeys(key for key in every if not own(key.scoring)))
    aligned: list[list[Group]] = []
    for groups in chosen:
        found: list[Group] = []
        for group in groups:
            if not own(group.key.scoring):
                found.append(group)
                continue
            like = [key for key in asked if key._replace(scoring=group.key.scoring) == group.key]
            if not like:
                rivals = {
                    key.scoring for key in every if key._replace(scoring=group.key.scoring) == group.key
                }
                like = [group.key._replace(scoring=" / ".join(sorted(rivals)))]
            found += [replace(group, key=key) for key in like]
        aligned.append(found)
    return aligned
