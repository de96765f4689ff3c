"""The journal of a search: a study of Optuna in a file that survives a kill at any moment."""

import json
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from fgrad.errors import ConfigError
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
        ConfigError: if the journal is of another search or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _mend(journal, say)
    try:
        held = cast(Any, _Held())
        storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=held))
        if storage.get_all_studies():
            study = optuna.load_study(study_name=NAME, storage=storage, sampler=sampler)
        else:
            study = optuna.create_study(study_name=NAME, storage=storage, sampler=sampler)
        recorded = study.user_attrs.get("search")
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state.is_finished() and not (trial.params and "outcome" in trial.user_attrs):
                raise ValueError(f"trial {trial.number} is not whole")
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
    content = journal.read_bytes()
    first = b'{"op_code"'
    if content[: len(first)] != first[: len(content)]:
        raise ConfigError(f"{_other(journal)}: no line of a journal")
    whole = lines = 0
    for line in content.splitlines(keepends=True):
        try:
            if not (line.endswith(b"\n") and isinstance(json.loads(line), dict)):
                break
        except ValueError:
            break
        whole, lines = whole + len(line), lines + 1
    if whole < len(content):
        say(f"{journal}: damaged from line {lines + 1} on; what stands before it is kept")
        with journal.open("r+b") as file:
            file.truncate(whole)
