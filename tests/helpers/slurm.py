"""A Slurm of two nodes on this machine, and the project run through it.

Everything listens on loopback and lies in one folder; nothing of the system's own Slurm is read.
Each node has two GPUs that are no GPUs (``/dev/null``, ``/dev/zero``), so that jobs get distinct
``CUDA_VISIBLE_DEVICES`` and compute on the CPU.
"""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import warm
import watched
from projects import Project, values

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")
NODES = ("n1", "n2")

RUN = "fc/fc_w256/mnist5k/frog_k2/seed0"
TARGET = f"results/runs/{RUN}.parquet"
"""A training that is caught at work."""

CONF = """\
ClusterName=fgrad
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPort={ports[0]}
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
MinJobAge=300
KillWait=10
ReturnToService=2
SlurmdTimeout=15
SlurmctldTimeout=30
MpiDefault=none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdParameters=config_overrides
NodeName=n1 NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[1]} {node}
NodeName=n2 NodeHostName={host} NodeAddr=127.0.0.1 Port={ports[2]} {node}
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=1-00:00:00 DefaultTime=00:10:00 State=UP
"""
NODE = "CPUs=4 RealMemory=20000 Gres=gpu:a100:2 Feature=a100 State=UNKNOWN"
GRES = "".join(
    f"NodeName={node} Name=gpu Type=a100 File={file}\n"
    for node in NODES
    for file in ("/dev/null", "/dev/zero")
)


def _found(program: str) -> str | None:
    """Daemons lie in sbin, which is not on every user's path."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")


def missing() -> list[str]:
    """Programs that are wanted and not installed."""
    return [program for program in (*DAEMONS, *CLIENTS) if _found(program) is None]


def wait_for(said: str, done: Callable[[], object], seconds: float = 300) -> None:
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {said}"
        time.sleep(0.2)


@dataclass(frozen=True)
class Script:
    """A script of a rule, at work in a job."""

    pid: int
    job: int
    node: str
    gpu: str | None

    def halt(self) -> None:
        """Let it be at work until it is ended: Slurm wakes it before it asks it to end."""
        psutil.Process(self.pid).suspend()


class Cluster:
    """The daemons; ends all that it started, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.mains: list[subprocess.Popen[str]] = []
        conf = str(folder / "slurm.conf")
        self.environment = os.environ | {
            "SLURM_CONF": conf,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }

    def start(self) -> None:
        self.folder.chmod(0o755)  # munged refuses a folder that others may write to
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        conf = CONF.format(
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            folder=self.folder,
            ports=_free_ports(3),
            node=NODE,
        )
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "gres.conf").write_text(GRES)
        # jobs of the plugin call srun without the variables of Slurm, this one among them
        srun = self.folder / "bin/srun"
        srun.parent.mkdir()
        path = f"{self.folder}/slurm.conf"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={path} exec {_found("srun")} "$@"\n')
        srun.chmod(0o755)
        own = {
            "key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid",
            "log-file": "munge.log", "seed-file": "munge.seed",
        }  # fmt: skip
        options = [f"--{option}={self.folder / file}" for option, file in own.items()]
        self._start("munged", "--foreground", "--force", *options)
        wait_for("munged listens", (self.folder / "munge.socket").exists, 20)
        self._start("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_for("nodes are idle", lambda: self.node_states() == dict.fromkeys(NODES, "IDLE"), 60)

    def _start(self, program: str, *arguments: str, node: str = "") -> None:
        path = _found(program)
        assert path is not None, program
        name = node or program
        (self.folder / "at" / node).mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                [path, *arguments],
                env=self.environment,
                cwd=self.folder / "at" / node,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start_node(self, node: str) -> None:
        self._start("slurmd", "-D", "-N", node, node=node)

    def lose_node(self, node: str, jobs: bool = True) -> None:
        """Kill a node as a power failure does; without its jobs, as a failure of its network."""
        victims = self._processes(node) if jobs else []
        self.daemons[node].kill()
        for process in victims:
            _kill(process)
        self.daemons.pop(node).wait()

    def _processes(self, node: str | None = None) -> list[psutil.Process]:
        """All of jobs that is running here, on one node or on all; first what looks after the others."""
        keepers, others = [], []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has ended meanwhile
                if process.name() == "slurmstepd":  # shows no environment; lies where slurmd does
                    at = Path(process.cwd())
                    if at.parent == self.folder / "at" and node in (None, at.name):
                        keepers.append(process)
                    continue
                own = process.environ()
                mine = own.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if mine and own.get("SLURMD_NODENAME") in ([node] if node else NODES):
                    others.append(process)
        return keepers + others

    def scripts(self, name: str) -> set[Script]:
        """Jobs whose script of this name is at work, each with the GPU that Slurm gave it."""
        found = set()
        for process in self._processes():
            try:
                if any(word.endswith(f".{name}.py") for word in process.cmdline()):
                    own = process.environ()
                    job, node = int(own["SLURM_JOB_ID"]), own["SLURMD_NODENAME"]
                    found.add(Script(process.pid, job, node, own.get("CUDA_VISIBLE_DEVICES")))
            except psutil.Error:  # it has ended
                continue
        return found

    def stop(self) -> None:
        """End all by their ids, whatever state they are in."""
        for main in self.mains:  # of tests that failed
            main.kill()
            main.wait()
        if "slurmctld" in self.daemons:
            subprocess.run(
                ["scancel", "--full", "--user", getpass.getuser()],
                env=self.environment, check=False, timeout=60, capture_output=True,
            )  # fmt: skip
        for process in self._processes():
            _kill(process)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def logs(self) -> str:
        """The last lines of every daemon."""
        files = [*sorted(self.folder.glob("*.out")), *sorted(self.folder.glob("*.log"))]
        return "\n".join(f"{file.name}: …{file.read_text()[-2000:]}" for file in files)

    def ask(self, *command: str) -> str:
        """What a client of Slurm answers."""
        done = subprocess.run(
            command, env=self.environment, check=False, timeout=60, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def node_states(self) -> dict[str, str]:
        try:
            answer = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T")
        except AssertionError:  # slurmctld is not yet up
            return {}
        states = dict(line.split() for line in answer.splitlines())
        return {node: state.rstrip("*").upper() for node, state in states.items()}

    def jobs(self) -> dict[int, str]:
        """State of every job that is still known, the eldest first."""
        answer = self.ask("squeue", "--noheader", "--states=all", "--format=%A %T")
        states = (line.split() for line in answer.splitlines())
        return {int(job): state for job, state in sorted(states, key=lambda one: int(one[0]))}

    def job(self, number: int) -> dict[str, str]:
        """All that is known of a job."""
        answer = self.ask("scontrol", "show", "job", "--details", "--oneliner", str(number))
        return dict(re.findall(r"(\S+?)=(\S*)", answer))

    def cancel(self, number: int) -> None:
        self.ask("scancel", str(number))

    def expire(self, number: int) -> None:
        """Let a job's time be up; Slurm looks every 30 s."""
        self.ask("scontrol", "update", f"JobId={number}", "EndTime=now")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # psutil looks whether the id was given to another
        process.kill()


class Submitted(Project):
    """A copy of the project that is run through ``profiles/slurm``."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        super().__init__(home)
        self.cluster = cluster
        self.programs = home / "programs"  # found before all others

    def command(self, *arguments: str, cores: int = 0) -> list[str]:
        command = super().command(*arguments)
        profile = ["--profile", str(self.home / "profiles/slurm"), "--latency-wait", "5"]
        where = command.index("--cores")
        command[where - 2 : where + 2] = [str(Path(watched.__file__)), *profile]
        return command

    def environment(self) -> dict[str, str]:
        own = self.cluster.environment
        path = f"{self.programs}:{own['PATH']}"
        return super().environment() | {"SLURM_CONF": own["SLURM_CONF"], "PATH": path}

    def ended(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=warm.HANGS,
        )  # fmt: skip
        return done.returncode, done.stdout

    def local(self, home: Path) -> Project:
        """The same project without results, to be run on this machine alone."""
        return self.copy(home, results=False)

    def start(self, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Run in the background; `end` waits for it."""
        command = self.command(*arguments)
        where = command.index("--")
        command[where:where] = options
        with (self.work / "out").open("w") as out:
            started = subprocess.Popen(
                command, env=self.environment(), stdout=out, stderr=out, text=True,
                # what is started in the background may be told to ignore Ctrl-C; nothing else is
                # done before the program starts, so that threads do no harm
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )  # fmt: skip
        self.cluster.mains.append(started)
        return started

    def end(self, started: subprocess.Popen[str], ok: bool = True, seconds: float = 600) -> str:
        """What it said, once it has ended."""
        try:
            code = started.wait(seconds)
        finally:
            started.kill()  # told to end, it would wait for its jobs
        output = (self.work / "out").read_text()
        assert (code == 0) == ok, output
        return output


def assert_same_values(one: Project, other: Project) -> None:
    """Every result is there twice, with the same values to the last bit."""
    assert one.runs().keys() == other.runs().keys()
    for name, path in one.runs().items():
        pd.testing.assert_frame_equal(values(path), values(other.runs()[name]), check_exact=True)


def lengthen(project: Project) -> None:
    """Epochs enough to be caught at work."""
    tiny = project.home / "tests/tiny.yaml"
    tiny.write_text(tiny.read_text().replace("epochs: 1\n", "epochs: 60\n"))


def halted(project: Submitted, cluster: Cluster) -> int:
    """The job of the training, halted once there is a checkpoint of it."""
    folder = (project.work / TARGET).parent
    wait_for("a checkpoint", lambda: list(folder.glob(".*.checkpoint")))
    (script,) = cluster.scripts("train_network")
    script.halt()
    return script.job
