"""Finished runs into one archive, and out of it: bundle, unpack."""

from pathlib import Path
from typing import Annotated

import tyro

from fgrad.cli.folder import Flat, Place
from fgrad.cli.paths import local


def bundle(place: Annotated[Place, Flat], output: Path = Path("results/bundle.zip")) -> None:
    """Finished runs with what is needed to trust and redraw them, in one archive.

    What is missing or stale is left out; no run is started. ``snakemake bundle`` does the same.

    Args:
        place: which results.
        output: the archive, a name that ends with .zip, below the directory unless it is absolute.
    """
    from fgrad.sharing.bundle import pack

    output = local(output)
    config, runs, workflow = place.asked()
    pack(config, runs, workflow, output, print)


def unpack(bundle: tyro.conf.Positional[Path], directory: Path = Path()) -> None:
    """Verify a bundle and lay its runs where the workflow looks for them, all of them or none.

    Args:
        bundle: made by ``fgrad bundle``.
        directory: working folder of the workflow; made if it is not there.
    """
    from fgrad.sharing.bundle import CONFIGURATION
    from fgrad.sharing.unpack import unpack as lay_out
    from fgrad.store import parquet

    directory = local(directory, "directory")
    found = lay_out(local(bundle, "bundle"), directory)
    counts = {"there already": found.same, "put together with other seeds": found.merged}
    said = "".join(f", {len(runs)} {what}" for what, runs in counts.items() if runs)
    print(f"{directory}: {len(found.laid)} runs laid out{said}")
    if found.merged:
        seeds = {
            seed
            for name in found.merged
            for seed in parquet.provenance(directory / name)["run"]["seeds"]
        }
        print(
            f"these have seeds {', '.join(map(str, sorted(seeds)))} now: ask for all of them "
            "(functions.seeds, angles.seeds), else they are computed again with those asked for"
        )
    print(f"what came with them: {found.beside}")
    print(f"their configuration: {found.beside / CONFIGURATION}")
