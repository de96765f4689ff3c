"""Snakemake imported once and forked for each command: importing it is half of a dry run."""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HANGS = 1800
"""Seconds; a loaded machine takes ten minutes for all of the smallest configuration."""

OWN = ("fgrad", "snakemake_logger_plugin_fgrad")


def snakemake(
    arguments: list[str], environment: dict[str, str], folder: Path | None = None
) -> tuple[int, str]:
    """Its exit status and what it says, as of ``python -m snakemake`` in a folder."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.NamedTemporaryFile() as output:
        asked = (arguments, environment, str(folder or Path.cwd()), output.name)
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return status, output.read().decode()


@cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)  # ends it: there is nothing more to read
    return server


def _serve() -> None:
    import snakemake.cli

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            arguments = _become(*json.loads(line))
            sys.exit(snakemake.cli.main(arguments))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(
    arguments: list[str], environment: dict[str, str], folder: str, output: str
) -> list[str]:
    """A process of that environment in that folder, which knows nothing of fgrad yet."""
    signal.alarm(HANGS)
    said = os.open(output, os.O_WRONLY | os.O_APPEND)
    for own, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, said), (2, said)):
        os.dup2(file, own)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:1] = [folder, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.argv[1:] = arguments
    return arguments


if __name__ == "__main__":
    _serve()
