"""``python -m workbench``: open the app on the results database of the working folder."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import MutableMapping

from engine.paths import results_path


def leave_out_colours(environment: MutableMapping[str, str]) -> None:
    """Set NO_COLOR for a terminal that has no colours, such as TERM=dumb."""
    if environment.get("TERM", "").lower() in ("", "dumb", "unknown"):
        environment.setdefault("NO_COLOR", "1")


def main() -> None:
    """Open the app, or report why it cannot be opened."""
    in_browser = os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")
    if not in_browser and not (sys.stdout.isatty() and sys.stdin.isatty()):
        print(
            "optical-workbench: the app needs a terminal; `optical-workbench --help` lists commands",
            file=sys.stderr,
        )
        sys.exit(2)
    leave_out_colours(os.environ)
    gc.disable()  # until the first paint, because imported modules are never freed
    from engine.errors import InputError
    from engine.visible import visible
    from workbench.app import Workbench
    from workbench.data.user_settings import read_user_settings
    from workbench.shell.hangup import end_with_terminal
    from workbench.shell.tour import is_first_start

    try:
        settings = read_user_settings()
    except InputError as error:
        print(f"optical-workbench: {visible(str(error))}", file=sys.stderr)
        sys.exit(2)

    end_with_terminal(sys.stdin.fileno())
    app = Workbench(results_path(), settings, first_start=is_first_start())
    app.run()
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main()
