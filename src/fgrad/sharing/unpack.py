"""A bundle verified, and its runs laid where the workflow looks for them; all of it or nothing."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from fgrad import upkeep
from fgrad.errors import ConfigError
from fgrad.sharing import archive, manifest, merge, results
from fgrad.store import files, lease

BESIDE = "results/bundles"
"""Below which there is what came with the runs, by the digest of the manifest."""

STAGE = ".unpack-"
"""How the folder is called in which a bundle is verified."""


@dataclass(frozen=True)
class Unpacked:
    """What came out of a bundle.

    Args:
        manifest: what the bundle says of itself.
        beside: folder of what came with the runs: manifest, configuration, tables, logs, summaries.
        laid: runs that were laid out.
        same: runs that were there already, all their seeds.
        merged: runs that were put together with those of other seeds.
    """

    manifest: manifest.Manifest
    beside: Path
    laid: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)


def unpack(bundle: Path, directory: Path) -> Unpacked:
    """Verify a bundle and lay out its runs below a folder, all of them or none.

    A run that is there already stays; one of other seeds is put together with it, where values of
    seeds do not hang on what is computed beside them; for any other the bundle is refused.

    Args:
        bundle: the archive.
        directory: a working folder of the workflow, or none yet.

    Returns:
        What came out of it.

    Raises:
        ConfigError: in a line that names the entry, if the bundle is damaged, changed, incomplete,
            of another form, project or format, or holds another result than is there; if the folder
            cannot be written, or a workflow is at work in it.
    """
    bundle, directory = Path(bundle), Path(directory)
    with archive.opened(bundle) as found:
        known = _manifest(found)
        files.check_writable(directory)
        with _staged(directory, sum(found.sizes.values())) as stage:
            beside = _extract(found, known, stage / "new")
            unpacked = Unpacked(known, directory / beside)
            moves = {
                stage / "new" / name: directory / beside / name
                for name in (*known.files, manifest.NAME)
                if not name.startswith(manifest.RUNS)
            }
            for name in known.runs:
                if why := results.wrong(stage / "new" / name, name):
                    raise ConfigError(f"{bundle}: {name}: {why}")
                source = _place(unpacked, name, stage, directory / name)
                if source is not None:
                    moves[source] = directory / name
            _lay(moves, stage / "old")
    return unpacked


def _manifest(found: archive.Archive) -> manifest.Manifest:
    """What an archive says of itself, and that its entries are just those."""
    where = f"{found.path}: {manifest.NAME}"
    if manifest.NAME not in found.sizes:
        raise ConfigError(f"{found.path}: no bundle of {manifest.PROJECT}: no {manifest.NAME}")
    if found.sizes[manifest.NAME] > manifest.LARGEST:
        raise ConfigError(f"{where}: more than {manifest.LARGEST:,} bytes")
    known = manifest.parsed(found.read(manifest.NAME), where)
    for name in known.files:
        if name not in found.sizes:
            raise ConfigError(f"{found.path}: {archive.shown(name)}: missing")
    for name, size in found.sizes.items():
        if name == manifest.NAME:
            continue
        if name not in known.files:
            raise ConfigError(f"{found.path}: {name}: not listed in {manifest.NAME}")
        if size != (announced := known.files[name].size):
            raise ConfigError(f"{found.path}: {name}: {size:,} bytes, {announced:,} announced")
    if not known.runs:
        raise ConfigError(f"{found.path}: no run in it")
    return known


@contextmanager
def _staged(directory: Path, size: int) -> Iterator[Path]:
    """A folder in the one that is unpacked to, which nobody else is at work in.

    Whatever happens, of what is made here nothing stays, unless it holds something else by then.
    """
    made = [path for path in (directory, *directory.absolute().parents) if not path.exists()]
    lock = directory / lease.WORKFLOW
    made.insert(0, lock.parent)
    stage = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with upkeep.alone(directory):
            for left in directory.glob(f"{STAGE}*"):  # of one that was killed
                shutil.rmtree(left, ignore_errors=True)
            free = shutil.disk_usage(directory).free
            if free < size:
                raise ConfigError(
                    f"{directory}: {size:,} bytes are to be unpacked, {free:,} are free"
                )
            stage = Path(mkdtemp(prefix=STAGE, dir=directory))
            yield stage
    except OSError as error:
        raise files.CannotWriteError(directory, error) from None
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # something is in it, and it stays
                path.rmdir()


def _extract(found: archive.Archive, known: manifest.Manifest, stage: Path) -> str:
    """Every file below a folder, verified; where what is no run belongs."""
    for name, one in known.files.items():
        digest = hashlib.sha256()
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in found.chunks(name):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != one.sha256:
            raise ConfigError(f"{found.path}: {name}: changed: other contents than its checksum's")
    content = found.read(manifest.NAME)
    (stage / manifest.NAME).write_bytes(content)
    return f"{BESIDE}/{hashlib.sha256(content).hexdigest()[:12]}"


def _place(unpacked: Unpacked, name: str, stage: Path, target: Path) -> Path | None:
    """What is to be laid out of a run; nothing if that is there."""
    new = stage / "new" / name
    if not os.path.lexists(target):
        unpacked.laid.append(name)
        return new
    files.check_regular(target)
    if why := results.wrong(target, name):
        raise ConfigError(f"{target}: another file is there: {why}; nothing was unpacked")
    differs = merge.difference(target, new)
    if not differs:
        unpacked.same.append(name)
        return None
    both = stage / "both" / name
    if name.split("/")[2] in results.SEVERAL:
        seeds = merge.by_seeds(target, new, both)
        if seeds is not None:
            (unpacked.merged if seeds else unpacked.same).append(name)
            return both if seeds else None
    raise ConfigError(f"{target}: another result is there: {differs}; nothing was unpacked")


def _lay(moves: dict[Path, Path], old: Path) -> None:
    """Rename files to where they belong; if that ends early, back again.

    Args:
        moves: file → where it belongs; links on the way there stay, also to other file systems.
        old: folder for what is replaced.
    """
    done: list[tuple[Path, Path | None]] = []
    folders: list[Path] = []
    try:
        for i, (source, named) in enumerate(moves.items()):
            target = Path(os.path.realpath(named))
            folders += [path for path in reversed(target.parents) if not path.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            kept = None
            if target.exists():
                kept = old / str(i)
                old.mkdir(exist_ok=True)
                try:
                    os.link(target, kept)
                except OSError:  # on another file system, or on one without such links
                    shutil.copy2(target, kept)
            done.append((target, kept))
            _move(source, target)
    except BaseException:
        for target, kept in done:
            if kept is None:
                target.unlink(missing_ok=True)
        for target, kept in done:  # now that there is room, should they have to be copied
            if kept is not None:
                _move(kept, target)
        for folder in reversed(folders):
            with suppress(OSError):  # something is in it; why it failed is raised below
                folder.rmdir()
        raise


def _move(source: Path, target: Path) -> None:
    """Rename a file; where that leads to another file system copy it, whole or not at all."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        files.copy(source, target)
