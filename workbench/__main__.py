"""``python -m workbench``: open the app on the results database of the working folder."""

from __future__ import annotations

import gc
import os
import sys

from engine.paths import results_path


def main() -> None:
    """Open the app, or report why it cannot be opened."""
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        print(
            "optical-workbench: the app needs a terminal; `optical-workbench --help` lists commands",
            file=sys.stderr,
        )
        sys.exit(2)
    if os.environ.get("TERM", "").lower() in ("", "dumb", "unknown"):
        os.environ.setdefault("NO_COLOR", "1")  # such a terminal has no colours
    gc.disable()  # until the first paint, because imported modules are never freed
    from workbench.app import Workbench
    from workbench.shell.hangup import end_with_terminal

    end_with_terminal(sys.stdin.fileno())
    app = Workbench(results_path())
    app.run()
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main()
