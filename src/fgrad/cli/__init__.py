"""The command ``fgrad``: a verb for each thing that it does."""

import io
import sys

from fgrad import terminal
from fgrad.arguments import Verb, choose, renamed
from fgrad.cli.compare import compare
from fgrad.cli.folder import adopt, prune, stale
from fgrad.cli.outlook import plan, status
from fgrad.cli.sharing import bundle, unpack
from fgrad.cli.single import descend, measure, search, train

VERBS: dict[str, Verb] = {
    "measure": measure,
    "descend": descend,
    "train": train,
    "search": search,
    "plan": plan,
    "status": status,
    "stale": stale,
    "adopt": adopt,
    "prune": prune,
    "bundle": bundle,
    "unpack": unpack,
    "compare": compare,
}


def main() -> None:
    """Run the command line; wrong input ends in a line for each mistake, exit status not 0."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale may know no ° and no ×
            stream.reconfigure(errors="replace")
    with terminal.ending():
        renamed(sys.argv)
        chosen = choose(VERBS, sys.argv[1:], "Multi-tangent forward gradients, one run at a time.")
        while callable(chosen):
            chosen = chosen()
