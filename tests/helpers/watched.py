"""Snakemake that looks after its jobs every second.

The plugin for Slurm waits 10 s longer after each look at which nothing had ended, three minutes in the
end, and has no option against it; tests would wait for that more than for anything else.
"""

import asyncio

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(_: RemoteExecutor) -> None:
    await asyncio.sleep(1)


RemoteExecutor.sleep = sleep

if __name__ == "__main__":
    main()
