# `make` lists the commands. Each sets up what it needs; the first one takes a minute or two.
#
# Options, in the environment or after the command:
#   PARAMS='Name=Value Other=Value'                  template parameters of the local stack
#   CLOUDFLARE_ACCOUNT_ID=... CLOUDFLARE_API_TOKEN=...   Cloudflare's Workers AI instead of the small local model
#   WORKERS_AI_BASE_URL=http://...                   any OpenAI-compatible server instead
#   AI_MODEL_PATH=some.gguf                          another local model
#   USER=alice HOURS=12                              whose token `make token` prints, and how long it is good
#   STACK=copilotedge                                the stack on AWS that token and rotate-keys are about; else the local one
#   PYTHON=python3.12                                the interpreter (3.11 to 3.14) of everything

# Interpreters that Lambda has a runtime for and that come with the venv module.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help run up down logs token rotate-keys test check unit integration e2e screenshots faults security audit format lock clean environment sam python

help: ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

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

test: check ## check, then every test
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
		$(addprefix -r ,layers/vendor/requirements.txt $(wildcard requirements/*.txt))

format: environment ## format the code
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix-only .

COMPILE = .tools/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: environment ## pin the newest versions that requirements/*.in allow
	@$(COMPILE) --upgrade requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) --upgrade requirements/vendor.in -c requirements/dev.txt -o layers/vendor/requirements.txt
	@$(COMPILE) --upgrade requirements/sam.in -o requirements/sam.txt
	@$(COMPILE) --upgrade requirements/audit.in -o requirements/audit.txt
	@$(COMPILE) --upgrade requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) --upgrade --no-deps requirements/weights.in -o requirements/weights.txt

clean: ## end the local stack and remove everything that was made, conversations too
	@$(MAKE) --no-print-directory down
	@rm -rf .venv .tools .local .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

environment: python
	@$(PYTHON) local/environment.py .venv requirements/dev.txt

sam: python
	@$(PYTHON) local/environment.py .tools/sam requirements/sam.txt

python:
	@if [ -z "$(PYTHON)" ]; then echo "Needs Python 3.11 to 3.14 with its venv module (Debian, Ubuntu: apt-get install python3 python3-venv)." >&2; exit 1; fi
