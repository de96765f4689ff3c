# Every target sets up what it needs. Another Python: make PYTHON=python3.12 …

PYTHON ?= python3
CORES ?= 2
VENV := .venv
READY := $(VENV)/.ready
FORMS := .github/ISSUE_TEMPLATE
RUN := . $(VENV)/bin/activate &&
# bars on a terminal, elsewhere a line for each job: src/snakemake_logger_plugin_fgrad
SHOWN := --logger fgrad
APART := not slow and not slurm and not cloud and not latex and not site
DOCS := $(RUN) pip install --quiet --disable-pip-version-check -r requirements-docs.lock && NO_MKDOCS_2_WARNING=1

# Snakemake keeps its cache in a home folder that can be written.
ifeq ($(shell test -w "$$HOME" && echo yes),)
export XDG_CACHE_HOME ?= $(CURDIR)/$(VENV)/cache
endif

.DEFAULT_GOAL := help
.PHONY: help quick demo paper laptop docs latex report site test test-slow test-slurm test-latex test-cloud test-site lint bench dist

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

quick: lint ## lint and every test that runs no Snakemake and takes no seconds; before a commit
	$(RUN) pytest -n $(CORES) --dist loadfile -m "$(APART) and not workflow and not long"

demo: $(READY) config/demo.yaml ## every rule, figure, table and claim on small grids: demo/results/paper/index.html
	$(RUN) snakemake --cores $(CORES) --configfile config/demo.yaml --directory demo $(SHOWN)

paper: $(READY) ## everything at the paper's scale: results/paper
	$(RUN) snakemake --cores $(CORES) $(SHOWN)

laptop: $(READY) ## sections 4.4 and 4.5 on 5,000 digits, without a GPU: laptop/results/paper
	$(RUN) snakemake fc sota --cores $(CORES) --configfile config/laptop.yaml --directory laptop $(SHOWN)

docs: $(READY) ## the pages in docs from the summaries kept there; tables and schema of config from the options
	$(RUN) python docs/make.py && python docs/options.py

latex: $(READY) ## every table of the demo in one PDF, with pdflatex: demo/results/paper/tables.pdf
	$(RUN) snakemake --cores $(CORES) --configfile config/demo.yaml --directory demo --quiet rules -- latex

report: demo ## one HTML file with every figure and table of the demo: demo/report.html
	$(RUN) snakemake --configfile config/demo.yaml --directory demo --report report.html

site: $(READY) ## these pages and the API's, to be read without a network: site/index.html
	$(DOCS) mkdocs build --quiet

test: $(READY) ## all tests but those of minutes
	$(RUN) pytest -n $(CORES) --dist loadfile -m "$(APART)"

test-slow: $(READY) ## the others of minutes: random pairs of edits against runs from scratch, searches
	$(RUN) pytest -n $(CORES) -m slow

test-slurm: $(READY) ## on a Slurm that they start; apt-get install slurm-wlm munge
	$(RUN) pytest -m slurm -r s tests/slurm

test-latex: $(READY) ## all tables typeset; apt-get install texlive-latex-recommended texlive-publishers texlive-fonts-recommended
	$(RUN) pytest -m latex -r s tests/paper tests/workflow

test-cloud: $(READY) ## container, Kubernetes, object storage; installs what they need
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements-cloud.lock && pytest -m cloud

test-site: $(READY) ## the site and the page, built without a network, and bundles as crates; apt-get install chromium
	$(PYTHON) -m venv $(VENV)/crate && $(VENV)/crate/bin/pip install --quiet --disable-pip-version-check -r requirements-crate.lock
	$(DOCS) pytest -m site -r s tests/test_site.py tests/test_page.py tests/sharing

lint: $(READY) ## format, lint, type and import check; forms of the files that others read
	$(RUN) ruff format --check . && ruff check . && snakefmt --check Snakefile rules && mypy && lint-imports
	$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) check-jsonschema --builtin-schema vendor.github-issue-config $(FORMS)/config.yml
	$(RUN) check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard $(FORMS)/*.yml))
	$(RUN) check-jsonschema --builtin-schema vendor.citation-file-format --default-filetype yaml CITATION.cff

bench: $(READY) ## speed against the textbook versions
	$(RUN) python benchmarks/speed.py && python benchmarks/networks.py && python benchmarks/hours.py

dist: $(READY) ## wheel and source distribution: dist/
	$(RUN) python -m build

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "fgrad needs Python 3.11 or newer, $(PYTHON) is %d.%d; try: make PYTHON=python3.11" % v[:2])'
	@$(PYTHON) -c 'import os, sys; sys.exit("fgrad cannot be set up in %r: no environment works below a path with one of : \" $$ ` \\ tab newline; move the checkout" % os.getcwd() if set(os.getcwd()) & set(":\"$$`\\\t\n") else None)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
