"""Paths of options as a shell would have them."""

import re
from pathlib import Path

from fgrad import errors


def local(path: Path, option: str = "output") -> Path:
    """A path with its ``~`` replaced, which shells leave to us in ``--output=~/x``.

    Args:
        path: as it was given.
        option: named in messages.

    Raises:
        ConfigError: if it is an address, or of somebody who is no user here.

    Examples:
        >>> local(Path("results/x.zip")).as_posix()
        'results/x.zip'
    """
    if re.match(r"[a-z][a-z0-9+.-]*:/", str(path)):
        raise errors.ConfigError(f"{option} = {str(path)!r}: an address; a path is needed")
    try:
        return path.expanduser()
    except RuntimeError:
        raise errors.ConfigError(f"{option} = {str(path)!r}: no such user here") from None
