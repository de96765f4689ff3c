r"""All tables as one PDF, in the class of the paper: IEEEtran for conferences, two columns."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fgrad.errors import ConfigError
from fgrad.store.files import atomic

NEEDED = "texlive-latex-recommended texlive-publishers texlive-fonts-recommended"
"""Packages of Debian that have all that is needed."""

DOCUMENT = r"""\documentclass[conference]{IEEEtran}
\usepackage{booktabs}
\begin{document}
\noindent %s
%s
\end{document}
"""

_BODY = r"""
\input{%s}
\clearpage"""


def compile_tables(tables: Sequence[str], pdf: str) -> str:
    """Typeset tables as one PDF, a page or more for each.

    Args:
        tables: LaTeX files, as `fgrad.paper.tables.table.write` writes them.
        pdf: path.

    Returns:
        What LaTeX logged.

    Raises:
        ConfigError: without pdflatex, or if it ends with an error, in its words.
    """
    if shutil.which("pdflatex") is None:
        raise ConfigError(f"pdflatex is not installed; on Debian: apt-get install {NEEDED}")
    with TemporaryDirectory() as folder:
        for path in tables:
            shutil.copy(path, folder)
        names = [Path(path).stem for path in tables]
        references = ", ".join(rf"Table~\ref{{tab:{name}}}" for name in names)
        body = "".join(_BODY % name for name in names)
        Path(folder, "main.tex").write_text(DOCUMENT % (references + ".", body), encoding="utf-8")
        said = [_pdflatex(folder) for _ in range(2)][-1]  # the second knows the numbers
        if said.returncode:
            found = re.search(r"^! .*(?:\n.*)?", said.stdout, re.MULTILINE)
            reason = " ".join(found[0].split()) if found else said.stdout[-200:]
            raise ConfigError(f"{pdf}: pdflatex ends with an error: {reason}")
        with atomic(Path(pdf)) as temporary:
            shutil.copy(Path(folder, "main.pdf"), temporary)
        return Path(folder, "main.log").read_text(encoding="utf-8", errors="replace")


def _pdflatex(folder: str) -> subprocess.CompletedProcess[str]:
    """One pass, the bytes of which do not depend on the time."""
    command = ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "main.tex"]
    same = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | same,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
