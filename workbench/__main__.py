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
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        print(
            "optical-workbench: the app needs a terminal; `optical-workbench --help` lists commands",
            file=sys.stderr,
        )
        sys.exit(2)
    leave_out_colours(os.environ)
    gc.disable()  # until the first paint, because imported modules are never freed
    from workbench.app import Workbench
    from workbench.shell.hangup import end_with_terminal

    end_with_terminal(sys.stdin.fileno())
    app = Workbench(results_path())
    app.run()
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main()
