"""A style sheet that is parsed again only when the colours of the theme change."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class CachedStylesheet(Stylesheet):
    """A style sheet that skips parsing when its rules did not change.

    Textual parses all rules again whenever styles may have changed: twice before the first paint, and each
    time a screen is shown for the first time. Only another theme changes the rules.
    """

    _stale = False

    def set_variables(self, variables: dict[str, str]) -> None:
        """Set the colours; different colours make the parsed rules stale."""
        if variables != self._variables:
            super().set_variables(variables)
            self._stale = True

    def reparse(self) -> None:
        """Parse all sources again if the colours changed. New sources are parsed when they are needed."""
        if self._stale:
            super().reparse()
            self._stale = False
