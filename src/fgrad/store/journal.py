"""The journal of a search: a study of Optuna in a file that survives a kill at any moment.

Each line has a checksum, so that what a disk or a copy has damaged is not taken for a loss.
"""

import json
import os
import zlib
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from fgrad.errors import ConfigError
from fgrad.store import files
from fgrad.store.context import Say

NAME = "lr"
"""Of the one study in a journal."""


def study_of(
    journal: Path, description: dict[str, Any], sampler: optuna.samplers.BaseSampler, say: Say
) -> optuna.Study:
    """The study of a journal, if it is this search's.

    Args:
        journal: file, in a folder that is there; made if it is not.
        description: everything the numbers of the search depend on, by name.
        sampler: of the study.
        say: told where a search that was interrupted goes on.

    Raises:
        ConfigError: if the journal is of another search, or cannot be read or written.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    files.check_regular(journal)
    _mend(journal, say)
    try:
        storage = JournalStorage(_Lines(journal, say))
        if storage.get_all_studies():
            study = optuna.load_study(study_name=NAME, storage=storage, sampler=sampler)
        else:
            study = optuna.create_study(study_name=NAME, storage=storage, sampler=sampler)
        recorded = study.user_attrs.get("search")
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state.is_finished() and not (trial.params and "outcome" in trial.user_attrs):
                raise ValueError(f"trial {trial.number} is not whole")
    except ConfigError:
        raise
    except OSError as error:
        raise files.CannotWriteError(journal, error) from None
    except Exception as error:  # whatever the lines hold, replaying them may fail in any way
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise ConfigError(f"{_other(journal)}: {reason}") from None
    if recorded is None and not trials:
        study.set_user_attr("search", description)
    elif recorded != description:
        theirs = recorded or {}
        key = next((k for k in description if description[k] != theirs.get(k)), "search")
        differs = f"{key} = {theirs.get(key)!r}, here {description.get(key)!r}"
        raise ConfigError(f"{_other(journal)}: {differs}")
    finished = sum(trial.state.is_finished() for trial in trials)
    if trials:
        say(f"resumed: {finished} of {len(trials)} trials are finished")
    return study


def _other(journal: Path) -> str:
    return f"{journal}: not the journal of this search; move or delete it to start anew"


class _Lines(JournalFileBackend):
    """Lines with checksums, each written whole or not at all; a full disk is waited for."""

    def __init__(self, journal: Path, say: Say) -> None:
        super().__init__(str(journal), lock_obj=cast(Any, _Held()))
        self.journal, self.say = journal, say

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        summed = [log | {"sum": _sum(log)} for log in logs]
        files.patiently(lambda: self._append(summed), self.say)

    def _append(self, logs: list[dict[str, Any]]) -> None:
        try:
            size = self.journal.stat().st_size
            try:
                super().append_logs(logs)
            except OSError:
                with suppress(OSError):  # the error of the writing is raised, not this one
                    os.truncate(self.journal, size)
                raise
        except OSError as error:
            raise files.CannotWriteError(self.journal, error) from None

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        try:
            yield from super().read_logs(log_number_from)
        except OSError as error:
            raise _unreadable(self.journal, error) from None


def _sum(log: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(log, sort_keys=True).encode())


def _unreadable(journal: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{journal}: cannot be read: {files.reason(error)}")


class _Held:
    """The output is locked as a whole, so Optuna's lock of every line has nothing to do."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _mend(journal: Path, say: Say) -> None:
    """Cut off what a kill or a full disk left of a last line, so that more can be added."""
    if not journal.exists():
        return
    try:
        content = journal.read_bytes()
    except OSError as error:
        raise _unreadable(journal, error) from None
    first = b'{"op_code"'
    lines = content.splitlines(keepends=True)
    sound = next((i for i, line in enumerate(lines) if not _is_sound(line)), len(lines))
    # of a first line that is whole but no line of a journal the file may be anybody's
    if content[: len(first)] != first[: len(content)] or (not sound and b"\n" in content):
        raise ConfigError(f"{_other(journal)}: no line of a journal")
    if sound == len(lines):
        return
    say(f"{journal}: damaged from line {sound + 1} on; what stands before it is kept")
    try:
        os.truncate(journal, sum(map(len, lines[:sound])))
    except OSError as error:
        raise files.CannotWriteError(journal, error) from None


def _is_sound(line: bytes) -> bool:
    """Whether a line is whole and holds what was written."""
    try:
        log = json.loads(line)
        return line.endswith(b"\n") and log.pop("sum") == _sum(log)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
