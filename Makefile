# make run [KEEP=folder]   shows the whole thing on this machine: real Redis, a local cloud, no AWS account
# make test                every test; PYTEST_ARGS='-k lease' for some
# make faults              breaks every call in every way, and plants bugs; SEEDS=1000000 for the long form
# make bench               measures copying beside other tools, memory, start-up, calls; PARTS='costs' for some of it
# make stores              other people's S3 servers for `make test` (LocalStack wants a python3.13, Ceph comes from apt)
# make check               ruff, mypy, cfn-lint, sam validate, checkov
# make build               sam build (needs python3.13 with pip on PATH)
# make deploy              builds and deploys with your AWS credentials; SAM_ARGS=--guided the first time
# make clean               removes everything that these made
#
# Nothing else has to be set up. PYTHON=/path/to/python3.12 chooses the Python (3.11 or newer).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test stores faults bench check build deploy clean

PYTHON ?=
KEEP ?=
SEEDS ?=
PARTS ?=
# LocalStack runs on 3.13 alone; with another Python its part of the tests is skipped.
STORES_PYTHON ?= $(or $(shell python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null),$(PYTHON))
PYTEST_ARGS ?=
SAM_ARGS ?=

# Started as modules, never by the scripts in bin: a script's first line cannot hold a path with a space.
ENVIRONMENT := .venv/bin/python
LINTERS := .venv-lint/bin/python
CHECKOV := .venv-checkov/bin/python
# sam would otherwise write into the home directory, which may be empty or read-only.
SAM := SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$(CURDIR)/.venv-lint/sam" $(LINTERS) -m samcli
# checkov would otherwise ask its maker's server for texts, and send it the results where BC_API_KEY is set.
CHECKOV_OPTIONS := --framework cloudformation --quiet --compact --skip-download
# What runs here must reach this machine only: no profile, credentials or proxy of the user's may come into it. Only
# the commands below get this environment; the user's own stays as it is.
LOCAL := env -u AWS_PROFILE -u AWS_DEFAULT_PROFILE -u AWS_SESSION_TOKEN -u AWS_ENDPOINT_URL \
	AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 \
	AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true \
	NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

help:
	@sed -n 's/^# //p' Makefile

run: .venv/.set-up
	@$(LOCAL) $(ENVIRONMENT) -m tests.demo $(if $(KEEP),--keep "$(KEEP)")

test: .venv/.set-up
	@$(LOCAL) $(ENVIRONMENT) -m pytest $(PYTEST_ARGS)

stores: .venv-stores/.set-up

faults: .venv/.set-up
	@$(LOCAL) PYTHONPATH=layers/rdbkeeper $(ENVIRONMENT) -m tests.faults $(if $(SEEDS),--seeds $(SEEDS))

bench: .venv/.set-up .venv-bench/.set-up
	@$(LOCAL) PYTHONPATH=layers/rdbkeeper $(ENVIRONMENT) -m tests.bench $(PARTS)

check: .venv-lint/.set-up .venv-checkov/.set-up
	$(LINTERS) -m ruff check .
	$(LINTERS) -m ruff format --check .
	$(LINTERS) -m mypy
	$(LINTERS) .venv-lint/bin/cfn-lint --template template.yaml
	$(SAM) validate --lint
	env -u BC_API_KEY $(CHECKOV) -m checkov.main $(CHECKOV_OPTIONS) --file template.yaml

build: .venv-lint/.set-up
	$(SAM) build

deploy: build
	$(SAM) deploy $(SAM_ARGS)

clean:
	rm -rf .venv .venv-lint .venv-checkov .venv-bench .venv-stores .aws-sam bench.md .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.set-up: layers/rdbkeeper/requirements.txt tests/requirements.txt tests/set_up.sh
	@sh tests/set_up.sh .venv tests/requirements.txt "$(PYTHON)"

.venv-lint/.set-up: tests/requirements-lint.txt tests/set_up.sh
	@sh tests/set_up.sh .venv-lint tests/requirements-lint.txt "$(PYTHON)"

.venv-bench/.set-up: tests/bench/requirements.txt tests/set_up.sh
	@sh tests/set_up.sh .venv-bench tests/bench/requirements.txt "$(PYTHON)"

.venv-stores/.set-up: tests/stores/requirements.txt tests/set_up.sh
	@sh tests/set_up.sh .venv-stores tests/stores/requirements.txt "$(STORES_PYTHON)"

.venv-checkov/.set-up: tests/requirements-checkov.txt tests/set_up.sh
	@sh tests/set_up.sh .venv-checkov tests/requirements-checkov.txt "$(PYTHON)"
