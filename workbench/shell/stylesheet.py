"""The app's style sheet, which is parsed again only when its colours change."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class Sheet(Stylesheet):
    """A style sheet that knows whether its rules still hold.

    Textual parses all rules again whenever styles may have to be applied anew: twice before the first paint,
    and each time a screen is shown first. Only another theme changes what they mean.
    """

    _stale = False

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take colours; only other ones make what was parsed stale."""
        if variables != self._variables:
            super().set_variables(variables)
            self._stale = True

    def reparse(self) -> None:
        """Parse everything again if the colours changed; new sources are parsed when they are needed."""
        if self._stale:
            super().reparse()
            self._stale = False
