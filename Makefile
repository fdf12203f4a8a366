# Every target makes what it needs: environments from hashed requirement files, engines, the build.
# Stamp files tell when a requirement file changed, so a second run starts at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# uv from the PATH, or our own, installed below.
UV := $(or $(shell command -v uv),.tessera/tools/uv/bin/uv)
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy
export UV_NO_PROGRESS := 1
export UV_NO_CONFIG := 1

PYTHON := .venv/bin/python
SAM := .tessera/tools/sam/bin
BUILT := .aws-sam/build/template.yaml
CLIENT := client/typescript
ENVIRONMENTS := .venv .tessera/engines/ministack .tessera/engines/runtime .tessera/tools/sam
export SAM_CLI_TELEMETRY := 0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

# --- running ---------------------------------------------------------------------------------------

.PHONY: dev up down reset logs
dev: ready ## start, deploy, print the URLs, tail the logs, update on save; Ctrl-C stops
	@$(PYTHON) -m local dev

up: ready ## the same detached
	@$(PYTHON) -m local up

down: .venv/.stamp ## stop; the state stays
	@$(PYTHON) -m local down

reset: .venv/.stamp ## stop and empty the state
	@$(PYTHON) -m local reset

logs: .venv/.stamp ## tail the logs of a running system
	@$(PYTHON) -m local logs

.PHONY: env invoke objects sam-local token keys rotate-keys webhook
env: .venv/.stamp ## the address and the admin token as shell variables: eval "$(make -s env)"
	@$(PYTHON) -m local env

invoke: ready ## one built function through Lambda's runtime: FN=sessions/get [EVENT=path]
	@$(PYTHON) -m local invoke $(or $(FN),$(error say which function: make invoke FN=sessions/get)) $(EVENT)

objects: .venv/.stamp ## list what the archive's bucket has: [PREFIX=archive/…]
	@$(PYTHON) -m local objects "$(PREFIX)"

sam-local: ready ## write what `sam local invoke` needs, for those who have Docker
	@$(PYTHON) -m local build
	@$(PYTHON) -m local container

.PHONY: insights
insights: .venv/.stamp ## what shoppers ask and buy: [NAME=conversion] [FROM=2026-11-01] [TO=2026-11-20]
	@$(PYTHON) -m local insights $(if $(NAME),"$(NAME)") $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO))

# On the embedded AWS; with STAGE=prod on the real one.
AT := $(if $(STAGE),--stage $(STAGE))

token: .venv/.stamp ## a service token: SCOPE=admin, or several: SCOPE="sessions:read sessions:write"
	@$(PYTHON) -m local token "$(or $(SCOPE),$(error say which scopes: make token SCOPE=admin))" $(AT)

keys: .venv/.stamp ## put a first key ring into the secret when it has none
	@$(PYTHON) -m local keys $(AT)

rotate-keys: .venv/.stamp ## add new keys; older ones verify until they drop out
	@$(PYTHON) -m local keys --rotate $(AT)

webhook: .venv/.stamp ## put Bitrix24's webhook into its secret, from the input
	@$(PYTHON) -m local webhook $(AT)

# --- checking --------------------------------------------------------------------------------------

.PHONY: test check check-python check-types check-arrows check-client check-template bench openapi
test: ready ## every test: make test ARGS="-k extend"
	@$(PYTHON) -m pytest tests -n 3 --dist worksteal $(ARGS)

check: check-python check-arrows check-client check-template check-types ## lint, types, arrows, sizes, template

check-python: .venv/.stamp ## ruff
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

check-types: .venv/.stamp node_modules/.stamp ## pyright
	node_modules/.bin/pyright

check-arrows: .venv/.stamp ## who may import whom
	.venv/bin/lint-imports

check-client: $(CLIENT)/src/openapi.ts ## the TypeScript client: types, lint, format, size
	@npm run --silent check --workspace $(CLIENT)

check-template: ready .tessera/tools/checkov/.stamp ## SAM, cfn-lint, checkov on the built template, our own assertions
	AWS_DEFAULT_REGION=eu-central-1 $(SAM)/sam validate --lint
	$(SAM)/cfn-lint --append-rules cfn_lint_serverless.rules -- template.yaml
	@$(PYTHON) -m local build
	.tessera/tools/checkov/bin/checkov --quiet --compact --skip-download --framework cloudformation --file $(BUILT)
	$(PYTHON) -m pytest -q tests/template

bench: ready .tessera/engines/langchain/.stamp ## the benchmarks; JSON into bench/results/
	@$(PYTHON) -m bench $(ARGS)

openapi: .venv/.stamp ## write docs/openapi.json from the handlers
	@$(PYTHON) -m local.openapi

# --- building and deploying ------------------------------------------------------------------------

.PHONY: build client deploy
build: ready ## build functions and layers into .aws-sam/build; only what changed
	@$(PYTHON) -m local build

client: $(CLIENT)/dist/.stamp ## build the TypeScript client into client/typescript/dist

# The types of the API are made from its description, so they cannot be stale (decision 32).
$(CLIENT)/src/openapi.ts: docs/openapi.json node_modules/.stamp
	@npm run --silent types --workspace $(CLIENT)

$(CLIENT)/dist/.stamp: $(CLIENT)/src/openapi.ts $(shell find $(CLIENT)/src $(CLIENT)/scripts -type f ! -name openapi.ts) \
  $(wildcard $(CLIENT)/*.json)
	@npm run --silent build --workspace $(CLIENT)
	@touch $@

deploy: ready ## build for arm64 and deploy to AWS: STAGE=dev|prod [ARGS=--guided]
	@$(PYTHON) -m local build --architecture arm64 --folder .aws-sam/arm64/build
	$(SAM)/sam deploy --template-file .aws-sam/arm64/build/template.yaml --config-file $(CURDIR)/samconfig.toml \
	  --config-env $(patsubst dev,default,$(or $(STAGE),dev)) $(ARGS)
	@$(PYTHON) -m local keys --stage $(or $(STAGE),dev)

# --- environments ----------------------------------------------------------------------------------

.PHONY: ready lock clean
ready: $(addsuffix /.stamp,$(ENVIRONMENTS)) node_modules/.stamp $(CLIENT)/dist/.stamp

.tessera/tools/uv/bin/uv: requirements/uv.txt
	@command -v python3 >/dev/null || { echo "python3 is missing: install Python 3.13, with pyenv for instance"; exit 1; }
	@rm -rf .tessera/tools/uv
	@python3 -m venv .tessera/tools/uv || { echo "python3 makes no environments here: apt-get install python3-venv"; exit 1; }
	.tessera/tools/uv/bin/pip install --quiet --require-hashes -r requirements/uv.txt

# $(1) the environment's folder, $(2) its hashed requirement file, $(3) folders to have on its path
define environment
$(1)/.stamp: $(2) .python-version | $(UV)
	@echo "installing $(2) into $(1)"
	@$$(UV) venv --quiet --clear $(1) || { echo "uv finds no Python $$$$(cat .python-version): pyenv install $$$$(cat .python-version)"; exit 1; }
	@$$(UV) pip sync --quiet --require-hashes --python $(1)/bin/python $(2)
	@$(if $(3),printf '%s\n' $(3) >$(1)/lib/python3.13/site-packages/ours.pth)
	@touch $$@
endef
$(eval $(call environment,.venv,requirements/dev.txt,$(CURDIR)/layers/tessera/python $(CURDIR)/client/python/src))
$(eval $(call environment,.tessera/engines/ministack,requirements/ministack.txt))
$(eval $(call environment,.tessera/engines/runtime,requirements/runtime.txt))
$(eval $(call environment,.tessera/engines/langchain,requirements/langchain.txt))
$(eval $(call environment,.tessera/tools/sam,requirements/sam.txt))
$(eval $(call environment,.tessera/tools/checkov,requirements/checkov.txt))

node_modules/.stamp: package.json package-lock.json $(CLIENT)/package.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20"; exit 1; }
	npm ci --no-audit --no-fund --silent
	@touch $@

lock: | $(UV) ## renew the hashed requirement files from their .in files
	@for file in layers/vendor/requirements layers/vendor/compaction layers/vendor/realtime $(patsubst %.in,%,$(wildcard requirements/*.in)); do \
	  $(UV) pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --python-version 3.13 --universal \
	    --custom-compile-command "make lock" $$file.in -o $$file.txt; done

clean: ## delete the build and the caches; state and environments stay
	@rm -rf .aws-sam $(CLIENT)/dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .tessera/cache
