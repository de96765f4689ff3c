"""What a bundle says of itself: what is there, with checksums, and what is not."""

import json
from typing import Annotated, Any

from pydantic import Field

from fgrad.errors import SHORT, ConfigError
from fgrad.validation import Model, validate

NAME = "bundle.json"

CRATE = "ro-crate-metadata.json"
"""The same for others: the description of a Workflow Run RO-Crate."""

FORMAT = 1
"""Raised when a bundle is laid out otherwise."""

PROJECT = "fgrad"

LARGEST = 1 << 26
"""Bytes of a manifest at most, 64 MB; one of 65,535 files has 15."""

RUNS = "results/runs/"
"""What is laid out where the workflow looks for it; all else is kept beside."""


class File(Model):
    """A file of a bundle."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Section(Model):
    """How much of a section is there."""

    asked: int
    """Runs that the configuration asked for."""
    finished: int
    """Those that are in the bundle."""


class Manifest(Model):
    """What a bundle says of itself."""

    format: int
    project: str
    version: str
    """Of fgrad."""
    sections: dict[str, Section]
    """In which it has runs, or lacks some."""
    left_out: dict[str, str]
    """Result that was there → why it is not in the bundle."""
    commits: list[str]
    """Of the code that made the runs."""
    codes: dict[str, list[str]]
    """Section → fingerprints of the code that made its runs."""
    versions: dict[str, list[str]]
    """Package → versions that made the runs."""
    hardware: list[str]
    """Kind of processor, device and threads that made the runs."""
    files: dict[str, File]
    """Every file but this one."""

    @property
    def runs(self) -> list[str]:
        """Paths of the runs."""
        return [name for name in self.files if name.startswith(RUNS)]


def text_of(manifest: Manifest) -> bytes:
    """A manifest as it stands in a bundle."""
    content = manifest.model_dump(mode="json")
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def parsed(content: bytes, where: str) -> Manifest:
    """A manifest as it was written.

    Args:
        content: bytes of the file.
        where: named in messages.

    Raises:
        ConfigError: in a line, if it is none, or of another project or a newer format.
    """
    try:
        found = json.loads(content, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        said = str(error).splitlines()[0][:100]
        raise ConfigError(f"{where}: cannot be read: {said}") from None
    if not isinstance(found, dict) or found.get("project") != PROJECT:
        raise ConfigError(f"{where}: not of {PROJECT}; a bundle of another project?")
    if found.get("format") != FORMAT:
        raise ConfigError(
            f"{where}: format {SHORT.repr(found.get('format'))}; this version reads {FORMAT}; "
            "another version of fgrad made it"
        )
    try:
        return validate(Manifest, found, where)
    except ConfigError as error:
        raise ConfigError(str(error).splitlines()[0]) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
