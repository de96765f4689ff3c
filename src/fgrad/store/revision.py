"""The commit that the code at work is of, or why none is known."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve()


class _UnknownError(Exception):
    """Why the commit is not known."""


def recorded(file: Path = HERE) -> dict[str, str | None]:
    """What a result records of the commit that its code is of.

    Args:
        file: of the code.

    Returns:
        ``commit``, forty digits and ``-dirty`` if a file of the tree was changed since; or none,
        and ``no_commit``, the reason.
    """
    try:
        # a repository around an environment, or around a copy, is somebody else's
        _git(file, "ls-files", "--error-unmatch", file.name)
        commit = _git(file, "rev-parse", "--verify", "HEAD")
        changed = _git(file, "status", "--porcelain", "--untracked-files=no")
    except _UnknownError as reason:
        return {"commit": None, "no_commit": str(reason)}
    return {"commit": f"{commit}-dirty" if changed else commit}


def _git(file: Path, *command: str) -> str:
    # GIT_DIR and its like are of the repository that somebody was at work in. The code of a
    # checkout of another owner is at work already, so that git may look at it too.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "--no-optional-locks")
    try:
        done = subprocess.run(
            ["git", *options, *command],
            cwd=file.parent,
            env=own | {"LC_ALL": "C"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=10,
        )
    except FileNotFoundError:
        raise _UnknownError("git is not installed") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _UnknownError(f"git: {error}") from None
    if done.returncode == 0:
        return done.stdout.strip()
    if "did not match any file" in done.stderr:
        raise _UnknownError("the code lies in no checkout of its own")
    raise _UnknownError((done.stderr.strip().splitlines() or ["git: no answer"])[-1])
