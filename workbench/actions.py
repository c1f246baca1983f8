"""All actions: their methods, keys and texts, for bindings, footer, key map and command palette."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Action:
    """One action of a scope: ``action_<name>`` of the class that owns the scope.

    Attributes
    ----------
    name : str
        The name of the method without ``action_``, with arguments if there are any.
    keys : str
        Keys, separated by commas.
    label : str
        The text in the footer.
    help : str
        The text in the key map and the command palette.
    footer : bool
        Whether the footer shows the action.
    id : str
        The name of the action in the user's key map. By default the name of the method, followed by its
        argument: ``go_runs`` for ``go('runs')``.
    """

    name: str
    keys: str
    label: str
    help: str
    footer: bool = False
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", re.sub(r"\W+", "_", self.name).strip("_"))


SCOPES = {
    "app": "Everywhere",
    "runs": "Runs",
    "curves": "Curves",
    "launch": "Launch",
    "results": "Results",
    "queries": "Queries of a language",
    "study": "Study",
    "plan": "Plan",
    "pair": "Typed pair",
    "solver": "Solver",
    "heatmap": "Heatmap",
    "ask": "Ask",
    "sql": "SQL",
    "table": "Any table",
}

ACTIONS: dict[str, tuple[Action, ...]] = {
    "app": (
        Action("go('runs')", "1,f2", "Runs", "Go to the runs"),
        Action("go('launch')", "2,f3", "Launch", "Go to the launch form"),
        Action("go('results')", "3,f4", "Results", "Go to the results"),
        Action("go('plan')", "4,f6", "Plan", "Go to the transport plans"),
        Action("go('ask')", "5,f7", "Ask", "Go to the queries"),
        Action("go('sql')", "6,f11", "SQL", "Go to the SQL editor"),
        Action("key_map", "question_mark,f12", "Keys", "Show all keys", True),
        Action("help_here", "f1", "Help", "Explain the focused part of the screen", True),
        Action(
            "jump",
            "ctrl+o,f10",
            "Jump",
            "Show a letter on each part of the screen; type it to go there",
        ),
        Action("command_palette", "ctrl+p", "Palette", "Find an action by its name"),
        Action("copy_sentence", "ctrl+y", "Copy sentence", "Copy the sentence on the status line"),
        Action("next_theme", "f9", "Theme", "Switch between dark, light and high contrast"),
        Action("tour", "T", "Tour", "Show the tour of the screens"),
        Action("quit", "ctrl+q", "Quit", "Quit; runs continue", True),
    ),
    "runs": (
        Action("filter", "slash", "Filter", "Filter the runs", True),
        Action("mark", "space", "Mark", "Mark the run, to overlay and compare", True),
        Action("unmark", "u", "Unmark", "Unmark all runs"),
        Action("diff", "d", "Diff", "Show the settings in which the marked runs differ", True),
        Action("sort", "o", "Sort", "Sort by the next column; a click on a heading sorts, too"),
        Action("reverse", "O", "Reverse", "Reverse the order"),
        Action("results", "enter", "Results", "Show the results of the marked runs, or of this run", True),
        Action("plans", "P", "Plans", "Show the stored transport plans of this run"),
        Action("pane", "v", "Details", "Switch between curves, settings and log", True),
        Action(
            "stop",
            "s",
            "Stop",
            "Stop the marked runs, or this run; it saves a checkpoint, or leaves the queue",
        ),
        Action("queue_up", "plus", "Earlier", "Move this queued run up one place in the queue"),
        Action("resume", "r", "Resume", "Resume this run, which was stopped, failed or crashed"),
        Action("mark_all", "asterisk", "Mark all", "Mark all runs that the filter selects"),
        Action("tag", "t", "Tags", "Change this run's tags"),
        Action("note", "n", "Note", "Change this run's note"),
        Action("rename", "N", "Rename", "Rename this run"),
        Action(
            "delete",
            "delete,D",
            "Delete",
            "Delete the folders of the marked runs, or of this run; forget a run whose folder is missing",
        ),
    ),
    "curves": (
        Action("next_curve", "c", "Curve", "Show the next curve (where only one fits)"),
        Action("log_axis", "l", "Log axis", "Switch the loss between linear and logarithmic"),
        Action("smooth", "m", "Smooth", "Smooth curves more, then not at all"),
        Action("x_axis", "x", "x axis", "Switch between steps and minutes"),
    ),
    "launch": (
        Action("preset", "p", "Preset", "Start from a preset or an earlier run", True),
        Action("add", "a", "Add", "Add a bitext source or a collection, copied from the last", True),
        Action("remove", "delete,X", "Remove", "Remove the bitext source or collection under the cursor"),
        Action("restore", "backspace", "Default", "Restore the default of the setting"),
        Action("next_value", "space,right", "Next", "Select the next value of a choice"),
        Action("previous_value", "left", "Previous", "Select the previous value of a choice"),
        Action("changed", "v", "Changed", "Show all settings or only those that differ from the default"),
        Action("copy", "y", "Copy", "Copy the command line"),
        Action("start", "ctrl+s", "Start", "Start the run; it continues when the app is closed", True),
    ),
    "results": (
        Action("choose_runs", "r", "Runs", "Choose the runs to show", True),
        Action("choose_setting", "c", "Collection", "Choose collection, protocol and direction", True),
        Action("choose_measure", "m", "Measure", "Choose the measure", True),
        Action("baseline", "b", "Baseline", "Use the next run as the baseline", True),
        Action("group", "g", "Group", "Group by script, family or resource level, or do not group", True),
        Action("sort", "s", "Sort", "Sort by the next column; a click on a heading sorts, too"),
        Action("reverse", "S", "Reverse", "Reverse the order"),
        Action("open", "enter", "Queries", "Show the queries of this language", True),
        Action("study", "y", "Study", "Show the newest study, or the reference study"),
    ),
    "queries": (
        Action("only", "o", "Show", "Show all queries, improved, worse or unchanged ones", True),
        Action("leave", "escape", "Back", "Go back", True),
    ),
    "study": (
        Action("next_sheet", "v", "Sheet", "Show arms, languages, differences or interactions", True),
        Action("next_collection", "c", "Collection", "Show the next collection", True),
        Action("findings", "w", "Findings", "Show the findings in sentences, or the sheets", True),
        Action("leave", "escape", "Back", "Go back", True),
    ),
    "plan": (
        Action("choose_plan", "o", "Plans", "Choose a stored plan", True),
        Action("next_plan", "greater_than_sign", "Next plan", "Show the next stored plan"),
        Action("previous_plan", "less_than_sign", "Previous", "Show the previous stored plan"),
        Action("type_pair", "t", "Pair", "Type a sentence pair, which a run then encodes", True),
        Action("solver", "s", "Solver", "Show the solver's settings; each change solves again", True),
        Action("compare", "w", "Compare", "Show the same pair by another run next to this plan", True),
        Action("difference", "d", "Difference", "Show on the right where the two plans differ"),
        Action("other_side", "v", "Other", "Go to the other of two plans"),
        Action("same_solver", "equals_sign", "Same solver", "Solve the other plan with this plan's settings"),
        Action("copy_cell", "ctrl+c", "Copy", "Copy the tokens and figures of the cell under the cursor"),
        Action("export", "e", "Export", "Write the numbers as NPZ, or a picture as PNG or SVG", True),
    ),
    "pair": (Action("leave", "escape", "Close", "Close the bar", True),),
    "solver": (
        Action("step(1)", "right,space", "Next", "Set the next value", id="next"),
        Action("step(-1)", "left", "Previous", "Set the previous value", id="previous"),
        Action("edit", "enter", "Type", "Type or choose the value", True),
        Action("restore", "backspace", "Run's", "Reset the setting to the run's value", True),
    ),
    "heatmap": (
        Action("step(-1,0)", "up,k", "Up", "Go to the row above", id="up"),
        Action("step(1,0)", "down,j", "Down", "Go to the row below", id="down"),
        Action("step(0,-1)", "left,h", "Left", "Go to the column on the left", id="left"),
        Action("step(0,1)", "right", "Right", "Go to the column on the right", id="right"),
        Action("normalise('row')", "r", "By row", "Divide by the largest value of the row"),
        Action("normalise('column')", "c", "By column", "Divide by the largest value of the column"),
        Action("normalise('all')", "a", "By all", "Divide by the largest value of all"),
        Action("log_scale", "l", "Log scale", "Switch between a linear and a logarithmic scale"),
        Action("threshold", "x", "Threshold", "Hide cells below 1, 5 or 10 % of the largest, or none"),
        Action("layer", "m", "Mass/cost", "Show mass, cost or their product", True),
        Action("marks", "full_stop", "Marks", "Show or hide the mark on each row's largest mass"),
        Action("ramp", "p", "Palette", "Change the colours"),
        Action("next_cell", "n", "Next", "Go to the cell with the next smaller value"),
        Action("previous_cell", "N", "Previous", "Go to the cell with the next larger value"),
    ),
    "ask": (
        Action("edit", "slash", "Query", "Type a query", True),
        Action("choose_runs", "r", "Runs", "Choose the run to search with, or two to compare", True),
        Action("choose_collection", "c", "Collection", "Choose the documents to search", True),
        Action("choose_language", "l", "Language", "Choose the language of the query", True),
        Action("own", "number_sign", "Own queries", "Choose one of the collection's own queries", True),
        Action(
            "next_own(1)",
            "greater_than_sign",
            "Next own",
            "Search for the collection's next query",
            id="next_own",
        ),
        Action(
            "next_own(-1)",
            "less_than_sign",
            "Previous own",
            "Search for the collection's previous query",
            id="previous_own",
        ),
        Action("other_side", "v", "Other", "Go to the other of two lists"),
        Action("leave", "escape", "Cancel", "Cancel the search, or go to the hits"),
    ),
    "sql": (
        Action("run", "f5,ctrl+j", "Run", "Run the statement in the editor", True),
        Action("cancel", "escape", "Cancel", "Cancel the statement that is running", True),
        Action("history", "f8", "History", "Choose a statement that ran before", True),
        Action("new_tab", "ctrl+t", "New tab", "Open a tab for another statement"),
        Action("next_tab", "ctrl+n", "Next tab", "Go to the next tab; a click on a title goes to its tab"),
        Action("close_tab", "ctrl+g", "Close tab", "Close the tab with its statement and its rows"),
        Action(
            "export", "ctrl+s", "Export", "Write all rows of the statement to a CSV or Parquet file", True
        ),
    ),
    "table": (
        Action("move(-1)", "up,k", "Up", "Go to the row above", id="up"),
        Action("move(1)", "down,j", "Down", "Go to the row below", id="down"),
        Action("page('up')", "pageup", "Page up", "Go up by a page"),
        Action("page('down')", "pagedown", "Page down", "Go down by a page"),
        Action("page('top')", "home", "Top", "Go to the first row"),
        Action("page('bottom')", "end", "Bottom", "Go to the last row"),
        Action("slide(-1)", "left,h", "Left", "Scroll to the column on the left", id="left"),
        Action("slide(1)", "right", "Right", "Scroll to the column on the right", id="right"),
        Action("pin", "f", "Pin", "Pin the first column in view that scrolls; it stays in view"),
        Action("unpin", "F", "Unpin", "Let the column that was pinned last scroll again"),
        Action(
            "copy_row", "ctrl+c", "Copy", "Copy the selected text, or the row with tabs between its cells"
        ),
        Action("copy_cell", "C", "Copy cell", "Choose a cell of the row and copy all of its text"),
    ),
}


def bindings(scope: str) -> list[BindingType]:
    """Return the bindings of `scope`, in the order of the table.

    Function keys of the app have priority, so they work in the SQL editor, which binds some of them itself.
    """
    return [
        Binding(
            key,
            action.name,
            action.label,
            show=action.footer and place == 0,
            tooltip=action.help,
            key_display=key_text(key),
            priority=scope == "app" and is_function_key(key),
            id=binding_id(scope, action, key),
        )
        for action in ACTIONS[scope]
        for place, key in enumerate(action.keys.split(","))
    ]


def is_function_key(key: str) -> bool:
    """Return whether `key` is a function key, such as ``f5``."""
    return key[0] == "f" and key[1:].isdigit()


def binding_id(scope: str, action: Action, key: str) -> str:
    """Return the id by which a binding is replaced. The app's function keys are replaced on their own."""
    function = scope == "app" and is_function_key(key)
    return f"{scope}.{action.id}" + (":function" if function else "")


KEY_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "full_stop": ".",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "equals_sign": "=",
    "plus": "+",
    "number_sign": "#",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "delete": "Del",
    "backspace": "Backspace",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


def key_text(keys: str) -> str:
    """Return keys as they are shown to users, such as ``? F12``."""
    texts = []
    for key in keys.split(","):
        if key.startswith("ctrl+"):
            texts.append("Ctrl+" + key[5:].upper())
        else:
            texts.append(KEY_NAMES.get(key) or (key.upper() if key[1:].isdigit() else key))
    return " ".join(texts)
