# Needs Python 3.11 or newer, git and make. Everything else goes into .venv and build/, from the lock files.

ENVIRONMENT ?= test
ARGS ?=
BIN := .venv/bin
# The command that deploys; it has no dependencies of its own.
CDK := $(BIN)/npx --yes aws-cdk@2.1148.1
# Certificates of the system, for a proxy of a company may sign with its own.
export UV_SYSTEM_CERTS ?= true
NPM_ENV := NODE_USE_SYSTEM_CA=1 npm_config_omit_lockfile_registry_resolved=true

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-all mutants bench check synth picture reference tables recovery deploy bootstrap lock clean

help:
	@echo 'make demo      a card becomes pushed code, on this machine alone   (ARGS=--fail-build, ARGS=--json)'
	@echo 'make test      all tests but the exhaustive ones                   (ARGS="-k lock")'
	@echo 'make test-unit the unit tests alone, in seconds, without npm or servers'
	@echo 'make test-all  these too: every fault of every state, every mutant'
	@echo 'make check     linters, types, import contracts, ASL, templates'
	@echo 'make mutants   plants a sample of faults; do tests notice them?   (ARGS="--seed 7 --count 60")'
	@echo 'make bench     what the worker costs against the plain way, one table (ARGS=redaction)'
	@echo 'make synth     CloudFormation templates into cdk.out               (ENVIRONMENT=test|staging|production)'
	@echo 'make diagram   draws the state machine in README.md again'
	@echo 'make reference writes the table of keys in docs/reference/configuration.md again'
	@echo 'make recovery  plays the matrix of docs/explanation/recovery.md and writes it again'
	@echo 'make tables    writes the tables in docs/ that come from what tests see again'
	@echo 'make bootstrap prepares an AWS account for deployments, once        (ARGS=aws://ACCOUNT/REGION)'
	@echo 'make deploy    deploys them to the AWS account of your credentials (ENVIRONMENT=…)'
	@echo 'make lock      resolves requirements/*.txt again from pyproject.toml   (UPGRADE=--upgrade: newest versions)'
	@echo 'make clean     removes everything that make built'

demo: .venv/ready
	@$(BIN)/kiro-worker demo $(ARGS)

test-unit: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit $(ARGS)

test: .venv/ready build/node/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not exhaustive' $(ARGS)

test-all: .venv/ready build/node/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

recovery: .venv/ready build/node/ready
	@rm -rf build/recovery && mkdir -p build/recovery
	KIRO_WORKER_RECORD=$(CURDIR)/build/recovery $(BIN)/python -m pytest -n 2 --dist worksteal tests/recovery/test_matrix.py $(ARGS)
	$(BIN)/python -m tools.recovery_table --take build/recovery

mutants: .venv/ready build/node/ready
	@$(BIN)/python -m tools.mutants $(ARGS)

bench: .venv/ready build/node/ready
	@$(BIN)/python -m bench $(ARGS)

# W3005: the CDK states a dependency on a role beside the reference to it, which is redundant and harmless.
check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.check_asl statemachine/*.asl.json
	$(BIN)/python -m tools.state_diagram --check
	$(BIN)/python -m tools.configuration_reference --check
	$(BIN)/python -m tools.recovery_table --check
	$(MAKE) --no-print-directory synth
	$(BIN)/cfn-lint --ignore-checks W3005 --template cdk.out/*.template.json

synth: .venv/ready
	@rm -rf cdk.out
	CDK_OUTDIR=cdk.out CDK_CONTEXT_JSON='{"environment": "$(ENVIRONMENT)"}' $(BIN)/python -m infra.app

picture: .venv/ready
	$(BIN)/python -m tools.state_diagram

reference: .venv/ready
	$(BIN)/python -m tools.configuration_reference

tables: .venv/ready
	KIRO_WORKER_WRITE_TABLES=1 $(BIN)/python -m pytest -q tests/e2e/test_killed_builds.py

bootstrap: .venv/ready
	$(NPM_ENV) $(CDK) bootstrap $(ARGS)

deploy: .venv/ready
	$(NPM_ENV) $(CDK) deploy --all --context environment=$(ENVIRONMENT) $(ARGS)

# ---------------------------------------------------------------------------------------------- set-up
# Hashes and no addresses, so that the lock serves every index and mirror; one resolution for all platforms.
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

# For the tests: GitHub's public schema in build/node/node_modules/@octokit/graphql-schema, and dynalite, a second DynamoDB
build/node/ready: .venv/ready tests/package.json tests/package-lock.json
	@mkdir -p build/node && cp tests/package.json tests/package-lock.json build/node/
	@$(NPM_ENV) $(BIN)/npm ci --prefix build/node --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

clean:
	rm -rf .venv build cdk.out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
