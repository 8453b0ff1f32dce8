# Needs Python 3.11 or newer, git and make. Everything else goes into .venv and build/, from the lock files.

ENVIRONMENT ?= test
ARGS ?=
BIN := .venv/bin
# The command that deploys. Its package has no dependencies, so this version pins everything.
CDK := $(BIN)/npx --yes aws-cdk@2.1148.1
# Trust the system's certificates, because a corporate proxy may sign with its own.
export UV_SYSTEM_CERTS ?= true
export NODE_USE_SYSTEM_CA ?= 1
NPM_ENV := npm_config_omit_lockfile_registry_resolved=true

# Each writes its pages below docs/, or with --check exits with 1 if one is out of date.
GENERATORS := state_diagram configuration_reference configuration_schema outcomes_table git_answers_table recovery_table

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-all test-real mutants bench check check-docs docs tables recovery synth bootstrap deploy lock clean

help:
	@echo 'make demo      turns a card into pushed code, on this machine only        (ARGS=--fail-build, ARGS=--json)'
	@echo 'make test      runs all tests except the exhaustive ones and real projects (ARGS="-k lock")'
	@echo 'make test-unit runs only the unit tests, in seconds, without npm or servers'
	@echo 'make test-all  runs all tests, with every fault of every state and every mutant'
	@echo 'make check     runs linters and type checker, and checks imports, docs, ASL and templates'
	@echo 'make test-real builds published projects with the whole worker, and prints what was detected (ARGS="-k toolz")'
	@echo 'make mutants   plants a sample of faults, reports which ones tests detect (ARGS="--seed 7 --count 60")'
	@echo 'make docs      generates the diagram, the tables and the JSON Schema in docs/'
	@echo 'make recovery  injects every fault, and records the results in docs/explanation/recovery.md'
	@echo 'make tables    runs the tests that write tables into docs/'
	@echo 'make bench     compares the cost of the worker with plain alternatives    (ARGS=redaction)'
	@echo 'make synth     writes the CloudFormation templates to cdk.out             (ENVIRONMENT=test|staging|production)'
	@echo 'make bootstrap prepares an AWS account for deployments, once              (ARGS=aws://ACCOUNT/REGION)'
	@echo 'make deploy    deploys the stacks to the AWS account of your credentials  (ENVIRONMENT=…)'
	@echo 'make lock      resolves requirements/*.txt from pyproject.toml            (UPGRADE=--upgrade: newest versions)'
	@echo 'make clean     removes everything that make built'

demo: .venv/ready
	@$(BIN)/kiro-worker demo $(ARGS)

test-unit: .venv/ready
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/unit $(ARGS)

test: .venv/ready build/node/ready
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not exhaustive and not real' $(ARGS)

test-all: .venv/ready build/node/ready
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not real' $(ARGS)

# It downloads projects and what they depend on, through the package indexes that pip and npm are configured for.
test-real: .venv/ready build/node/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/real $(ARGS)

recovery: .venv/ready build/node/ready
	@rm -rf build/recovery && mkdir -p build/recovery
	KIRO_WORKER_RECORD=$(CURDIR)/build/recovery $(BIN)/python -m pytest -n 3 --dist worksteal tests/recovery/test_matrix.py $(ARGS)
	$(BIN)/python -m tools.recovery_table --take build/recovery

mutants: .venv/ready build/node/ready
	@$(BIN)/python -m tools.mutants $(ARGS)

bench: .venv/ready build/node/ready
	@$(BIN)/python -m bench $(ARGS)

# W3005: CDK declares a dependency on a role in addition to the reference to it, which is redundant and harmless.
# E3601: tools.check_asl applies that schema, to which an expression as a timeout is unknown.
check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.check_asl statemachine/*.asl.json
	$(MAKE) --no-print-directory check-docs synth
	$(BIN)/cfn-lint --ignore-checks W3005 E3601 --template cdk.out/*.template.json

synth: .venv/ready
	@rm -rf cdk.out
	CDK_OUTDIR=cdk.out CDK_CONTEXT_JSON='{"environment": "$(ENVIRONMENT)"}' $(BIN)/python -m infra.app

check-docs: .venv/ready
	@set -e; for name in $(GENERATORS); do $(BIN)/python -m tools.$$name --check; done

docs: .venv/ready
	@set -e; for name in $(GENERATORS); do $(BIN)/python -m tools.$$name; done

tables: .venv/ready build/node/ready
	KIRO_WORKER_WRITE_TABLES=1 $(BIN)/python -m pytest -q tests/e2e/test_killed_builds.py \
	  tests/integration/kiro_local/cli/test_readme_capture.py tests/unit/test_operator_guide.py

bootstrap: .venv/ready
	$(NPM_ENV) $(CDK) bootstrap $(ARGS)

deploy: .venv/ready
	$(NPM_ENV) $(CDK) deploy --all --context environment=$(ENVIRONMENT) $(ARGS)

# ---------------------------------------------------------------------------------------------- set-up
# With hashes and without addresses, so that the lock works with every index and mirror. One resolution for all platforms.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header $(UPGRADE)

lock: .venv/ready
	$(COMPILE) --group lambda -o requirements/lambda.txt
	$(COMPILE) --group gate -c requirements/lambda.txt -o requirements/gate.txt
	$(COMPILE) pyproject.toml --extra local --group dev -c requirements/lambda.txt -c requirements/gate.txt \
		-o requirements/dev.txt
	$(COMPILE) --group runtime -c requirements/dev.txt -o requirements/runtime.txt
	cd tests && $(NPM_ENV) ../$(BIN)/npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel error

.venv/ready: pyproject.toml requirements/dev.txt
	@set -eu; \
	if [ ! -x $(BIN)/uv ]; then \
	  python=; \
	  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo 'No Python 3.11 or newer on the PATH. Install one, or name it: make PYTHON=/path/to/python3' >&2; exit 1; \
	  fi; \
	  echo "Setting up .venv with $$($$python --version) (once, about half a minute) …" >&2; \
	  rm -rf .venv; \
	  "$$python" -m venv .venv || { echo 'That Python has no venv; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }; \
	  sed -n '/^uv==/,/^ *# via/p' requirements/dev.txt > .venv/uv.txt; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; \
	fi; \
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	touch $@

# For the tests: GitHub's public schema (build/node/node_modules/@octokit/graphql-schema) and dynalite, a second DynamoDB.
build/node/ready: .venv/ready tests/package.json tests/package-lock.json
	@mkdir -p build/node && cp tests/package.json tests/package-lock.json build/node/
	@$(NPM_ENV) $(BIN)/npm ci --prefix build/node --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

clean:
	rm -rf .venv build cdk.out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
