"""Changes to the settings of the launch form: typed, chosen from a list, or picked from data at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on

from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ChoiceDialog, TextDialog
from workbench.widgets.table import Table

if TYPE_CHECKING:
    from workbench.data.fields import SettingRow
    from workbench.launch.form import Form


class Filling(ModeScreen):
    """The part of the launch screen that changes settings."""

    form: Form | None = None

    @property
    def line_here(self) -> SettingRow | None:
        """The line under the cursor."""
        raise NotImplementedError

    def fill(self) -> None:
        """Show the form anew."""
        raise NotImplementedError

    @on(Table.Chosen)
    def action_edit(self) -> None:
        """Change the setting under the cursor."""
        line, form = self.line_here, self.form
        if line is None or form is None:
            return
        if line.heading:
            if line.item:
                self.action_add()
            elif line.value is not None:
                form.set_value(line.path, {})
                self.fill()
        elif line.choices:
            self._choose(line)
        elif line.name in ("path", "language") and form.is_bitext(line.path[:-1]):
            self._pick_bitext(line, form)
        elif line.name in ("language", "languages", "target_language", "document_languages"):
            self._pick_languages(line, form)
        else:
            self._type(line, form)

    def action_add(self) -> None:
        """Add an item to the list under the cursor."""
        raise NotImplementedError

    def _type(self, line: SettingRow, form: Form) -> None:
        from workbench.data.fields import parse_value, value_text

        def check(text: str) -> str | None:
            before = form.get_value(line.path)
            held = (form.get_value(line.path[:-1]) if line.path[:-1] else form.settings) or {}
            had = line.path[-1] in held if isinstance(held, dict) else True
            form.set_value(line.path, parse_value(text, line.path, form.model))
            message = form.error(line.path)
            if had:
                form.set_value(line.path, before)
            else:
                form.restore(line.path)
            return message or None

        def answered(text: str | None) -> None:
            if text is not None:
                form.set_value(line.path, parse_value(text, line.path, form.model))
                self.fill()

        value = "" if line.value is None or line.value == [] else value_text(line.value)
        value = line.value if isinstance(line.value, str) else value
        self.app.push_screen(TextDialog(line.name, value, hint=line.meaning, check=check), answered)

    def _choose(self, line: SettingRow) -> None:
        from workbench.data.fields import value_text

        def answered(value: Any) -> None:
            if value is not None and self.form is not None:
                self.form.set_value(line.path, value)
                self.fill()

        rows = [(value_text(value),) for value in line.choices]
        self.app.push_screen(
            ChoiceDialog(line.name, ("",), rows, line.choices, chosen=[line.value]), answered
        )

    def _pick_bitext(self, line: SettingRow, form: Form) -> None:
        """Pick a source, or its language alone; of several sources picked, each gets an item of its own."""
        from workbench.launch.pickers import PickBitext, PickLanguage

        item = line.path[:-1]
        held = form.get_value(item) or {}
        path, language = str(held.get("path") or ""), str(held.get("language") or "")
        if line.name == "language":
            picker = PickLanguage([language] * bool(language), self._runs())

            def took(answer: Any) -> None:
                if answer is not None:
                    form.set_value((*item, "language"), answer)
                    other = picker.path_for(answer, path)
                    if other is not None:
                        form.set_value((*item, "path"), other)
                    self.fill()

            self.app.push_screen(picker, took)
            return

        def answered(answer: Any) -> None:
            if isinstance(answer, str):
                form.set_value(line.path, answer)
            place = item
            for number, picked in enumerate([] if isinstance(answer, str) else answer or []):
                if number:
                    place = form.add_item(place) or place
                for name, value in zip(("path", "language", "target_language"), picked, strict=True):
                    form.set_value((*place, name), value)
            self.fill()

        self.app.push_screen(PickBitext(path, language, self._runs()), answered)

    def _pick_languages(self, line: SettingRow, form: Form) -> None:
        from workbench.launch.pickers import PickLanguage

        several = isinstance(line.default, list)
        collection = str((form.get_value(line.path[:-1]) or {}).get("name") or "") if several else ""
        chosen = line.value if several else [line.value] * bool(line.value)

        def answered(answer: Any) -> None:
            if answer is not None:
                form.set_value(line.path, answer.split() if several and isinstance(answer, str) else answer)
                self.fill()

        picker = PickLanguage(chosen or [], self._runs(), collection=collection, several=several)
        self.app.push_screen(picker, answered)

    def _runs(self) -> list[dict[str, Any]]:
        return self.context.runs
