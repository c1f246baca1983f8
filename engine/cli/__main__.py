"""``python -m engine.cli``: the command line, for processes that start one another."""

from engine.cli import main

if __name__ == "__main__":
    main()
