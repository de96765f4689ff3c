from fgrad import quality, results
from fgrad.config import QualityRun

with results.logged(snakemake.log[0]):
    quality.write(QualityRun(**snakemake.params.run), snakemake.output[0])
