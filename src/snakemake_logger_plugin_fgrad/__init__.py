"""What `make` shows of a run (``snakemake --logger fgrad``): bars on a terminal, lines elsewhere.

The bars are those of snakemake-logger-plugin-rich, with the time that is left. Elsewhere, and where
that plug-in is missing, a line says of each job what it does when it starts, and what fails.
"""

import sys
from logging import LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

TOLD = ("RuleException", "CalledProcessError", "WorkflowError:\nAt least one job")
"""What errors begin with that say but that a job has failed, which has a line of its own."""

SAID = ("Nothing to be done", "fgrad: ", "Complete log", "Exiting because")
"""What messages begin with that are no errors and are shown."""


class LogHandler(LogHandlerBase):
    """Bars, or lines."""

    def __post_init__(self) -> None:
        """Choose which of them."""
        self.total, self.started = 0, 0
        self.names: dict[Any, str] = {}
        self.bars = _bars(self.common_settings) if sys.stderr.isatty() else None

    def emit(self, record: LogRecord) -> None:
        """Show a message."""
        if self.bars is not None:
            self.bars.emit(record)
        elif line := self.line(record):
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bars away."""
        if self.bars is not None:
            self.bars.close()
        super().close()

    def line(self, record: LogRecord) -> str:
        """A message as a line, or as few; empty for one that is not shown.

        Args:
            record: of Snakemake.
        """
        event, known = getattr(record, "event", None), vars(record)
        if event == LogEvent.RUN_INFO:
            self.total = max(self.total, known.get("stats", {}).get("total", 0))
        elif event == LogEvent.JOB_INFO:
            self.started += 1
            name = self.names[known["jobid"]] = known["rule_msg"] or known["rule_name"]
            return f"[{self.started} of {self.total}] {name}"
        elif event == LogEvent.JOB_ERROR:
            logs = ", ".join(known.get("log") or []) or "none"
            return f"FAILED: {self.names.get(known['jobid'], 'a job')}; its log: {logs}"
        elif event in (None, LogEvent.ERROR):
            text = record.getMessage()
            if text.startswith(TOLD):
                return ""
            if record.levelname in ("WARNING", "ERROR", "CRITICAL") or text.startswith(SAID):
                return text
        return ""

    @property
    def writes_to_stream(self) -> bool:
        """It does."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """It does not."""
        return False

    @property
    def has_filter(self) -> bool:
        """It chooses itself what it shows."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It chooses itself how it shows it."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It does not."""
        return False


def _bars(settings: Any) -> Any:
    """The handler that draws bars; nothing where its package is missing."""
    try:
        from rich.progress import TimeRemainingColumn
        from snakemake_logger_plugin_rich.handler import RichLogHandler
    except ImportError:
        return None
    handler = RichLogHandler(settings)
    spinner, _, *others = (
        handler.progress.columns
    )  # without its count of jobs, which is one too many
    handler.progress.columns = (spinner, *others, TimeRemainingColumn())
    return handler
