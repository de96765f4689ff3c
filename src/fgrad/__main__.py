"""The command ``fgrad``, and ``python -m fgrad``."""

import sys

from fgrad import __version__, terminal


def main() -> None:
    """Run the command line; see `fgrad.cli`."""
    with terminal.ending():
        if sys.argv[1:] == ["--version"]:
            print(f"fgrad {__version__}")
            return
        try:
            from fgrad import cli
        except ModuleNotFoundError as error:
            sys.exit(f"fgrad: this needs {error.name}: pip install 'fgrad[paper]'")
        cli.main()


if __name__ == "__main__":
    main()
