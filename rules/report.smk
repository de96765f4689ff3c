# The report shows what is there and what is asked for. Snakemake's own ends at the first marked file
# that is missing, and shows any other.

from snakemake.io import is_flagged, remove_flag

from fgrad.errors import SHOWN


def listed(paths):
    """The first of some files, and how many more there are."""
    first, more = sorted(paths)[:SHOWN], len(paths) - SHOWN
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def report_of_what_is_there(create_report, build_dag):
    """Snakemake's way to a report, with marks of missing and stale files taken off on the way."""

    def built():
        build_dag()
        marked = {
            str(path): path
            for job in workflow.dag.jobs
            for path in job.output
            if is_flagged(path, "report")
        }
        missing = [
            name
            for name, path in marked.items()
            if not workflow.async_run(path.exists())
        ]
        jobs = workflow.dag.needrun_jobs()
        again = {str(path) for job in jobs for path in job.output} & marked.keys()
        stale = sorted(again - set(missing))
        if marked and len(missing) + len(stale) == len(marked):
            raise WorkflowError(
                "nothing to report on: no figure, table or claim of these targets is there yet, "
                "and of what is asked for; "
                "make some first, for instance with `snakemake --cores 2 functions`"
            )
        if missing:
            log_line(f"fgrad: not there yet and left out: {listed(missing)}")
        if stale:
            log_line(f"fgrad: not what is asked for and left out: {listed(stale)}")
        for name in (*missing, *stale):
            remove_flag(marked[name], "report")

    def create(*args, **options):
        workflow._build_dag = built
        create_report(*args, **options)

    return create


workflow.create_report = report_of_what_is_there(
    workflow.create_report, workflow._build_dag
)
