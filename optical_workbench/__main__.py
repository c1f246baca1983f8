"""The program ``optical-workbench``, also as ``python -m optical_workbench``."""

from __future__ import annotations


def main() -> None:
    """Run a command of the command line, or open the app when no command is given."""
    from engine.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
