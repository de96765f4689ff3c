from snakemake.utils import min_version

min_version("9.20")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/quality.smk"
include: "rules/functions.smk"
include: "rules/networks.smk"
include: "rules/paper.smk"
include: "rules/lr_search.smk"


rule all:
    default_target: True
    input:
        [path for section in contents.PAPER for path in everything_of(section)],
        rules.claims.input,
