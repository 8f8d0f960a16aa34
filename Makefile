# `make` lists the commands. Each sets up what it needs; the first one takes a minute or two.
#
# Options, in the environment or after the command:
#   PARAMS='Name=Value Other=Value'                  template parameters of the local stack
#   CLOUDFLARE_ACCOUNT_ID=... CLOUDFLARE_API_TOKEN=...   Cloudflare's Workers AI instead of the small local model
#   WORKERS_AI_BASE_URL=http://...                   any OpenAI-compatible server instead
#   AI_MODEL_PATH=some.gguf                          another local model
#   USER=alice HOURS=12                              whose token `make token` prints, and how long it is good
#   STACK=copilotedge                                the stack on AWS that a command is about (docs/operations.md); else the local one
#   QUICK=1                                          little of everything that `make bench` measures, into .local/bench
#   PYTHON=python3.12                                the interpreter (3.11 to 3.14) of everything

# Interpreters that Lambda has a runtime for and that come with the venv module.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: named help run up down logs token rotate-keys set-api-token dead-letters redrive releases rollback backup restore recover build deploy destroy test check unit integration events e2e screenshots faults security audit bench cost simulate format lock clean environment sam emulator python

help: ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read name what; do printf '  make %-14s %s\n' "$$name" "$$what"; done

run: environment sam ## start everything, follow the logs, end everything on Ctrl-C
	@exec $(BIN)/python -m local run

up: environment sam ## start everything in the background
	@exec $(BIN)/python -m local up

down: ## end what `make up` started; conversations stay
	@if [ -x $(BIN)/python ]; then exec $(BIN)/python -m local down; fi

logs: environment ## follow the functions' logs
	@exec $(BIN)/python -m local logs

token: environment ## a token to call the APIs with: make token USER=alice
	@$(BIN)/python -m operations token --user "$$USER" $(if $(HOURS),--hours "$$HOURS") $(if $(STACK),--stack "$$STACK")

rotate-keys: environment ## a new key to sign tokens with
	@$(BIN)/python -m operations rotate-keys $(if $(STACK),--stack "$$STACK")

set-api-token: environment ## put CLOUDFLARE_API_TOKEN in the place of the stack's API token
	@$(BIN)/python -m operations set-api-token $(if $(STACK),--stack "$$STACK")

dead-letters: environment ## list the events that failed for good
	@$(BIN)/python -m operations dead-letters $(if $(STACK),--stack "$$STACK")

redrive: environment ## send them again to where they came from (deletions of users with FORGET=1)
	@$(BIN)/python -m operations redrive $(if $(FORGET),--forget) $(if $(STACK),--stack "$$STACK")

releases: environment ## list the versions of the functions, and which are live
	@$(BIN)/python -m operations releases $(if $(STACK),--stack "$$STACK")

rollback: environment ## make the release before the live one live, in every function (or TO=release)
	@$(BIN)/python -m operations rollback $(if $(TO),--to "$$TO") $(if $(STACK),--stack "$$STACK")

backup: environment ## back up the table
	@$(BIN)/python -m operations backup $(if $(STACK),--stack "$$STACK")

restore: environment ## restore it into a new table: make restore SOURCE=2026-11-22T20:00Z
	@$(BIN)/python -m operations restore --source "$$SOURCE" $(if $(STACK),--stack "$$STACK")

recover: environment ## copy conversations that are gone from there: make recover TABLE=... OF=alice (or EVERYBODY=1)
	@$(BIN)/python -m operations recover --table "$$TABLE" $(if $(OF),--user "$$OF") $(if $(EVERYBODY),--everybody) $(if $(STACK),--stack "$$STACK")

destroy: environment sam ## delete a stack on AWS with its conversations: make destroy STACK=copilotedge CONFIRM=copilotedge/eu-west-1
	@$(BIN)/python -m operations destroy $(if $(CONFIRM),--confirm "$$CONFIRM") $(if $(STACK),--stack "$$STACK")

# `sam build` wants the interpreter of the functions' runtime on the PATH; the same one compiles what it has built.
RUNTIME = $(or $(patsubst PythonRuntime=%,%,$(filter PythonRuntime=%,$(PARAMS))),python3.14)
build: sam ## build for AWS and compile: PARAMS='PythonRuntime=python3.13 Architecture=x86_64'
	@SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam build --parameter-overrides PythonRuntime=$(RUNTIME) $(filter Architecture=%,$(PARAMS))
	@PYTHONHASHSEED=0 $(RUNTIME) local/bytecode.py .aws-sam/build

deploy: named environment build ## build and deploy to AWS: make deploy STACK=copilotedge PARAMS='Name=Value'
	@$(BIN)/python -m operations deploy $(if $(STACK),--stack "$$STACK")

test: check emulator ## check, then every test
	@$(BIN)/python -m tests $(TESTS)

check: environment sam ## format, lint, types, insecure code, import rules, template
	@$(BIN)/ruff format --check --output-format concise . || { echo "\`make format\` mends that."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive functions local operations client/python
	@echo "Checking imports and the template ..."
	@mkdir -p .local && { PYTHONPATH=functions $(BIN)/lint-imports --no-cache >.local/lint-imports.log || { cat .local/lint-imports.log; exit 1; }; }
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .tools/sam/bin/sam validate --lint

unit: environment ## tests of one module each
	@$(BIN)/python -m pytest tests/unit $(TESTS)

integration: environment sam ## tests of the deployed local stack
	@$(BIN)/python -m pytest tests/integration $(TESTS)

events: environment sam emulator ## every payload of events/, under Lambda's runtime interface emulator
	@$(BIN)/python -m pytest tests/emulator $(TESTS)

e2e: environment sam ## tests as a user: browser, restart, real model
	@$(BIN)/python -m pytest tests/e2e $(TESTS)

screenshots: environment sam ## take the README's pictures of the chat page anew
	@PYTHONPATH=functions:. $(BIN)/python -m tests.screenshots

faults: environment sam ## crashes, crowds and a soak on the local stack
	@$(BIN)/python -m pytest tests/faults $(TESTS)

security: environment sam ## tokens, two users, limits, fuzzing, logs and policies on the local stack
	@$(BIN)/python -m pytest tests/security $(TESTS)

audit: python ## known vulnerabilities of all dependencies; asks PyPI's advisories, so it needs the internet
	@$(PYTHON) local/environment.py .tools/audit requirements/audit.txt
	@.tools/audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes \
		$(addprefix -r ,$(wildcard layers/*/requirements.txt requirements/*.txt))

bench: environment sam ## measure units, latency, throughput, memory and cold starts: bench/REPORT.md, in under 15 minutes
	@$(PYTHON) local/environment.py .tools/bench requirements/bench.txt
	@PYTHONPATH=functions:. $(BIN)/python -m bench $(if $(QUICK),--quick)
	@$(if $(QUICK),,$(MAKE) --no-print-directory cost simulate)

cost: environment ## what a million turns cost, from what `make bench` measured: docs/cost.md
	@PYTHONPATH=functions:. $(BIN)/python -m bench.cost_tables

simulate: environment ## turns that wait at the limits, from the same: docs/scale.md
	@PYTHONPATH=functions:. $(BIN)/python -m bench.simulation

format: environment ## format the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix-only .

COMPILE = .tools/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: environment ## pin the newest versions that requirements/*.in allow
	@$(COMPILE) --upgrade requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) --upgrade requirements/vendor.in -c requirements/dev.txt -o layers/vendor/requirements.txt
	@$(COMPILE) --upgrade requirements/signatures.in -c requirements/dev.txt -o layers/signatures/requirements.txt
	@$(COMPILE) --upgrade requirements/emulator.in -c requirements/dev.txt -o requirements/emulator.txt
	@$(COMPILE) --upgrade requirements/bench.in -c requirements/dev.txt -o requirements/bench.txt
	@$(COMPILE) --upgrade requirements/sam.in -o requirements/sam.txt
	@$(COMPILE) --upgrade requirements/audit.in -o requirements/audit.txt
	@$(COMPILE) --upgrade requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) --upgrade --no-deps requirements/weights.in -o requirements/weights.txt

clean: ## end the local stack and remove everything that was made, conversations too
	@$(MAKE) --no-print-directory down
	@rm -rf .venv .tools .local .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

named:
	@if [ -z "$(STACK)" ]; then echo "Which stack on AWS? STACK=copilotedge, for one." >&2; exit 1; fi

environment: python
	@$(PYTHON) local/environment.py .venv requirements/dev.txt

sam: python
	@$(PYTHON) local/environment.py .tools/sam requirements/sam.txt

emulator: python
	@$(PYTHON) local/environment.py .tools/emulator requirements/emulator.txt

python:
	@if [ -z "$(PYTHON)" ]; then echo "Needs Python 3.11 to 3.14 with its venv module (Debian, Ubuntu: apt-get install python3 python3-venv)." >&2; exit 1; fi
