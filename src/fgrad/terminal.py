"""How the command ends: whatever happens, in a line or a few, and with a status that is right.

Nothing but the standard library is imported before something went wrong, so that the seconds of
the imports can be interrupted too.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INTERRUPTED, CLOSED = 130, 141
"""Exit status of what Ctrl-C or a closed pipe ended."""

TOO_LARGE = ("alloc", "overflow", "out of memory", "invalid size")
"""What errors of torch say that are for want of memory."""


@contextmanager
def ending() -> Iterator[None]:
    """Ends the process in a line where the block raises; status 1, 130 or 141."""
    try:
        yield
        _flush()
    except SystemExit:
        _flush()
        raise
    except KeyboardInterrupt:
        print("fgrad: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read what is printed wants no more of it
        _discard()
        sys.exit(0 if {"-h", "--help"} & set(sys.argv) else CLOSED)
    except Exception as error:
        _flush()
        sys.exit(_line(error))


def _line(error: Exception) -> str:
    """What is said of an error."""
    from fgrad.errors import ConfigError

    if isinstance(error, ConfigError):
        return f"fgrad: {error}"
    if (pydantic := sys.modules.get("pydantic")) and isinstance(error, pydantic.ValidationError):
        from fgrad.validation import describe

        return describe("fgrad", error)
    reason = (str(error).splitlines() or ["out of memory"])[0]
    memory = isinstance(error, RuntimeError) and any(word in reason.lower() for word in TOO_LARGE)
    if memory or isinstance(error, MemoryError | OverflowError):
        return f"fgrad: too large for this machine: {reason}"
    if isinstance(error, OSError) and error.strerror:
        return f"fgrad: {error.filename or 'what is printed'}: {error.strerror}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return (
        f"fgrad: {type(error).__name__}: {reason} ({where}): a mistake of fgrad, please report it"
    )


def _flush() -> None:
    """Print what is still to be printed; raises SystemExit if that cannot be."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        sys.exit(f"fgrad: what is printed cannot be written: {error.strerror}")


def _discard() -> None:
    """Let nothing be left to print, which Python would try to at its very end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
