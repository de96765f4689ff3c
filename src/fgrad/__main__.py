"""The command ``fgrad``, and ``python -m fgrad``."""

from fgrad import terminal


def main() -> None:
    """Run the command line; see `fgrad.cli`."""
    with terminal.ending():
        from fgrad import cli

        cli.main()


if __name__ == "__main__":
    main()
