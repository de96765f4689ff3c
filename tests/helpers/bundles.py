"""Archives that are no bundles any more, each in one way."""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from fgrad.sharing import archive, manifest
from fgrad.store import parquet

Change = Callable[["Broken"], None]


class Broken:
    """A bundle as its files, to be changed, and written again in its form or in another."""

    def __init__(self, bundle: Path) -> None:
        self.bytes = bundle.read_bytes()
        with zipfile.ZipFile(bundle) as opened:
            self.files = {name: opened.read(name) for name in opened.namelist()}
        self.runs = sorted(name for name in self.files if name.startswith(manifest.RUNS))
        self.run = self.runs[0]
        self.infos: list[tuple[zipfile.ZipInfo, bytes]] = []
        """Entries that stand behind the files, as they are given."""
        self.shaped: dict[str, Callable[[zipfile.ZipInfo], None]] = {}
        """What is done to the entry of a file."""
        self.comment = b""
        self.after: list[Callable[[bytearray], object]] = []
        """What is done to the bytes at last."""

    def known(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files[manifest.NAME])
        return found

    def say(self, known: Mapping[str, Any] | bytes) -> None:
        """Another manifest."""
        text = known if isinstance(known, bytes) else json.dumps(known).encode()
        self.files[manifest.NAME] = text

    def seal(self) -> None:
        """Sizes and checksums of the files as they are now."""
        known = self.known()
        known["files"] = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.files.items()
            if name != manifest.NAME
        }
        self.say(known)

    def write(self, path: Path) -> Path:
        with zipfile.ZipFile(path, "w") as opened:
            opened.comment = self.comment
            for name, content in self.files.items():
                info = plain(name)
                if name in self.shaped:
                    self.shaped[name](info)
                opened.writestr(info, content)
            opened.NameToInfo.clear()  # it warns of two of one name
            for info, content in self.infos:
                opened.writestr(info, content)
        raw = bytearray(path.read_bytes())
        for change in self.after:
            change(raw)
        path.write_bytes(raw)
        return path


def plain(name: str, mode: int = archive.MODE) -> zipfile.ZipInfo:
    """An entry as bundles have them."""
    info = zipfile.ZipInfo(name, archive.DATE)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def renamed(new: str) -> Change:
    """A run under another name, manifest included."""

    def change(bundle: Broken) -> None:
        bundle.files = {(new if n == bundle.run else n): c for n, c in bundle.files.items()}
        bundle.seal()

    return change


def beside(name: str) -> Change:
    """A file more, manifest included."""

    def change(bundle: Broken) -> None:
        bundle.files = {name: b"x", **bundle.files}
        bundle.seal()

    return change


def moded(mode: int) -> Change:
    """A run that says it is something else."""

    def change(bundle: Broken) -> None:
        def shape(info: zipfile.ZipInfo) -> None:
            info.external_attr = mode << 16

        bundle.shaped[bundle.run] = shape

    return change


def packed(bundle: Broken) -> None:
    """A run as a bomb: a few bytes that stand for many."""

    def shape(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_DEFLATED

    bundle.files[bundle.run] = bytes(10**7)
    bundle.shaped[bundle.run] = shape
    bundle.seal()


def told(**changes: Any) -> Change:
    """A manifest that says something else."""
    return lambda bundle: bundle.say(bundle.known() | changes)


def said(text: bytes) -> Change:
    """A manifest of these bytes."""
    return lambda bundle: bundle.say(text)


def announced(size: int) -> Change:
    """A manifest with another size of a run."""

    def change(bundle: Broken) -> None:
        known = bundle.known()
        known["files"][bundle.run]["size"] = size
        bundle.say(known)

    return change


def bytewise(change: Callable[[bytearray], object]) -> Change:
    """Done to the bytes of the archive."""
    return lambda bundle: bundle.after.append(change)


def field(offset: int, value: int, form: str = "<H") -> Change:
    """A field in the list of entries, of the first one, is changed."""

    def change(content: bytearray) -> None:
        at = _list(content) + offset
        struct.pack_into(form, content, at, value)

    return bytewise(change)


def _list(content: bytearray) -> int:
    """Where the list of entries begins."""
    return int(struct.unpack_from("<I", content, len(content) - 6)[0])


def flipped(bundle: Broken) -> None:
    """One bit of a run, with the checksum of the zip as it was."""

    def change(content: bytearray) -> None:
        content[content.index(b"PAR1") + 40] ^= 1

    bundle.after.append(change)


def replaced(bundle: Broken) -> None:
    """One bit of a run, with the checksum of the zip made anew."""
    content = bytearray(bundle.files[bundle.run])
    content[len(content) // 2] ^= 1
    bundle.files[bundle.run] = bytes(content)


def damaged(bundle: Broken) -> None:
    """A bit of a page of a run, with every checksum of the bundle made anew."""
    content = bytearray(bundle.files[bundle.run])
    content[60] ^= 1
    bundle.files[bundle.run] = bytes(content)
    bundle.seal()


def swapped(bundle: Broken) -> None:
    """A run that is another one, with every checksum of the bundle made anew."""
    bundle.files[bundle.run] = bundle.files[bundle.runs[-1]]
    bundle.seal()


def foreign(folder: Path) -> Change:
    """A Parquet file of nobody's where a run is."""

    def change(bundle: Broken) -> None:
        path = folder / "foreign.parquet"
        pq.write_table(pq.read_table(folder / bundle.run).replace_schema_metadata(None), path)
        bundle.files[bundle.run] = path.read_bytes()
        path.unlink()
        bundle.seal()

    return change


def recorded(run: Mapping[str, Any] | None = None, **changes: Any) -> Change:
    """A run that records something else of itself, with every checksum made anew."""

    def change(bundle: Broken) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "run.parquet")
            path.write_bytes(bundle.files[bundle.run])
            known = parquet.provenance(path)
            known |= changes | {"run": known["run"] | dict(run or {})}
            parquet.save(path, parquet.table(path), known)
            bundle.files[bundle.run] = path.read_bytes()
        bundle.seal()

    return change


def renamed_column(old: str, new: str) -> Change:
    """A run that has a column of another name."""

    def change(bundle: Broken) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder, "run.parquet")
            path.write_bytes(bundle.files[bundle.run])
            table = parquet.table(path)
            named = table.rename_columns([new if one == old else one for one in table.column_names])
            parquet.save(path, named, parquet.provenance(path))
            bundle.files[bundle.run] = path.read_bytes()
        bundle.seal()

    return change
