"""All published data sets: those that collections declare, and those that are bitext only.

Addresses and counts are those of the publishers' own pages and files. If a repository has no versions, the
address names a commit, so that the files never change.
"""

from __future__ import annotations

from engine.extensions.collections import COLLECTIONS
from engine.extensions.published import PUBLISHED_BITEXT, PublishedData


def published_data() -> dict[str, PublishedData]:
    """Return every published data set by name."""
    declared = [reader.published for reader in COLLECTIONS.values() if reader.published is not None]
    return {data.name: data for data in (*declared, *PUBLISHED_BITEXT.values())}
