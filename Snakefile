from snakemake.utils import min_version

min_version("9.20")


# Under `module` and `include` the configuration is the caller's, see rules/common.smk, and so is
# the rule `all` under `include`.
ALONE = len(workflow.included_stack) == 1
INCLUDED = not ALONE and workflow.modifier.is_main_snakefile()

if ALONE:

    configfile: f"{workflow.current_basedir}/config/config.yaml"


include: "rules/start.smk"
include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/own.smk"
include: "rules/quality.smk"
include: "rules/functions.smk"
include: "rules/networks.smk"
include: "rules/paper.smk"
include: "rules/lr_search.smk"
include: "rules/page.smk"
include: "rules/report.smk"
include: "rules/bundle.smk"


if not INCLUDED:

    rule all:
        default_target: True
        input:
            [path for section in contents.PAPER for path in everything_of(section)],
            rules.claims.input,
            PAGE,
