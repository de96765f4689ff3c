# The report shows what is there. Snakemake's own ends at the first marked file that is missing.

from snakemake.io import is_flagged, remove_flag


def report_of_what_is_there(create_report, build_dag):
    """Snakemake's way to a report, with the marks of missing files taken off on the way."""

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
        if missing and len(missing) == len(marked):
            raise WorkflowError(
                "nothing to report on: no figure, table or claim of these targets is there yet; "
                "make some first, for instance with `snakemake --cores 2 functions`"
            )
        if missing:
            log_line(f"fgrad: not there yet and left out: {', '.join(sorted(missing))}")
        for name in missing:
            remove_flag(marked[name], "report")

    def create(*args, **options):
        workflow._build_dag = built
        create_report(*args, **options)

    return create


workflow.create_report = report_of_what_is_there(
    workflow.create_report, workflow._build_dag
)
