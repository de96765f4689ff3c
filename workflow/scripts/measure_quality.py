from fgrad.experiments import quality
from fgrad.options.quality import QualityRun
from fgrad.store import log

with log.logged(snakemake.log[0]):
    quality.write(QualityRun(**snakemake.params.run), snakemake.output[0])
