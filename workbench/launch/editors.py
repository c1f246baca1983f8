"""Dialogs that change a setting of the launch form: typed, chosen from a list, or picked from local data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.context import Context
from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ChoiceDialog, TextDialog

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.launch.form import Form

_LANGUAGE_SETTINGS = ("language", "languages", "target_language", "document_languages")


class SettingEditor:
    """Asks for the value of a setting and sets it in the form.

    Parameters
    ----------
    screen : ModeScreen
        The screen that shows the dialogs.
    context : Context
        Names earlier runs, whose bitext can be picked.
    changed : callable
        Called after the form has changed.
    """

    def __init__(self, screen: ModeScreen, context: Context, changed: Callable[[], None]) -> None:
        self._screen, self._context, self._changed = screen, context, changed

    def edit(self, form: Form, row: SettingRow) -> None:
        """Ask for the value of the setting in `row`."""
        if row.choices:
            self._choose(form, row)
        elif row.name in ("path", "language") and form.is_bitext(row.path[:-1]):
            if row.name == "path":
                self._pick_bitext(form, row)
            else:
                self._pick_bitext_language(form, row)
        elif row.name in _LANGUAGE_SETTINGS:
            self._pick_languages(form, row)
        else:
            self._type(form, row)

    def _set(self, form: Form, path: tuple[str | int, ...], value: Any) -> None:
        form.set_value(path, value)
        self._changed()

    def _type(self, form: Form, row: SettingRow) -> None:
        from workbench.data.fields import parse_value, value_text

        def answered(text: str | None) -> None:
            if text is not None:
                self._set(form, row.path, parse_value(text, row.path, form.model))

        value = "" if row.value is None or row.value == [] else value_text(row.value)
        if isinstance(row.value, str) and (row.value or parse_value("", row.path, form.model) is not None):
            value = row.value
        hint = row.meaning
        if row.allowed:
            hint += f" ({', '.join(map(value_text, row.allowed))})"
        dialog = TextDialog(row.name, value, hint=hint, check=lambda text: form.check_text(row.path, text))
        self._screen.app.push_screen(dialog, answered)

    def _choose(self, form: Form, row: SettingRow) -> None:
        from workbench.data.fields import value_text

        def answered(place: int | None) -> None:
            if place is not None:
                self._set(form, row.path, row.choices[place])

        rows, places = [(value_text(value),) for value in row.choices], range(len(row.choices))
        chosen = [place for place in places if row.choices[place] == row.value]
        self._screen.app.push_screen(ChoiceDialog(row.name, ("",), rows, places, chosen=chosen), answered)

    def _pick_bitext(self, form: Form, row: SettingRow) -> None:
        """Pick sources of sentence pairs; each one after the first becomes a new item of the list."""
        from workbench.launch.pickers import bitext_picker

        item = row.path[:-1]
        current = form.get_value(item) or {}

        def answered(answer: Any) -> None:
            if answer is None:
                return
            if isinstance(answer, str):
                form.set_value(row.path, answer)
            else:
                place = item
                for number, picked in enumerate(answer):
                    if number:
                        place = form.add_item(place) or place
                    for name, value in zip(("path", "language", "target_language"), picked, strict=True):
                        form.set_value((*place, name), value)
            self._changed()

        path, language = str(current.get("path") or ""), str(current.get("language") or "")
        self._screen.app.push_screen(bitext_picker(path, language, self._context.runs), answered)

    def _pick_bitext_language(self, form: Form, row: SettingRow) -> None:
        """Pick the language of a source; the path follows if its dataset has one for that language."""
        from workbench.launch.pickers import language_picker, path_of_language

        item = row.path[:-1]
        current = form.get_value(item) or {}
        path, language = str(current.get("path") or ""), str(current.get("language") or "")
        picker = language_picker([language] * bool(language), self._context.runs)

        def answered(answer: Any) -> None:
            if answer is None:
                return
            form.set_value((*item, "language"), answer)
            other = path_of_language(picker.sources, path, answer)
            if other is not None:
                form.set_value((*item, "path"), other)
            self._changed()

        self._screen.app.push_screen(picker, answered)

    def _pick_languages(self, form: Form, row: SettingRow) -> None:
        from workbench.launch.pickers import language_picker

        several = isinstance(row.default, list)
        group = form.get_value(row.path[:-1]) or {}
        collection = str(group.get("name") or "") if several else ""
        chosen = row.value if several else [row.value] * bool(row.value)

        def answered(answer: Any) -> None:
            if answer is not None:
                self._set(form, row.path, answer.split() if several and isinstance(answer, str) else answer)

        picker = language_picker(chosen or [], self._context.runs, collection=collection, several=several)
        self._screen.app.push_screen(picker, answered)
