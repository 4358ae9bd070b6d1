# `make` without a target prints the targets.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV := .local/uv/bin/uv
COMPILE = $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header
export DELIVERIES USERS MONTHS PEERS ONLY HISTORY SCHEDULER BESIDE AS_OF HORIZON OUT FOLDER MONTH USERS_FILE REASON
export PYTHONDONTWRITEBYTECODE :=

WITH_SERVER = .venv/bin/python tools/embedded.py run
# one more than there are processors: much of a system test is waiting for a scheduler
PYTEST = .venv/bin/python -m pytest -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --dist loadscope --no-loadscope-reorder

.PHONY: help setup run test test-fast extras test-extras ui psql verify erase readmit training-set manifest archive restore bench sql schema check-tables docs env deploy-check lint lock sample screenshots clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: .local/.migrated ## install everything under .venv and .local (the other targets do it by themselves)

run: setup ## run every month of include/data, or of DELIVERIES=folder, on the embedded PostgreSQL (a missing file: 30 s)
	@export AIRFLOW__STREAMFLOW__WAIT_TIMEOUT=$${AIRFLOW__STREAMFLOW__WAIT_TIMEOUT:-30}
	$(WITH_SERVER) --metadata airflow_run --needs months -- bash -c '. ./env.sh && exec python tools/run_months.py'

test: setup ## run the tests in parallel, each process with its own PostgreSQL (ARGS=… goes to pytest)
	@$(PYTEST) $(ARGS)

test-fast: setup ## run the unit tests and a few database tests: about a minute
	@$(PYTEST) -m 'unit and not slow or fast' --ignore tests/system $(ARGS)

extras: setup .local/extras/.installed .local/moto/.installed .local/azurite/.installed ## install what `make test-extras` needs, under .local

test-extras: extras ## test deliveries from object storage, against servers of S3 and Azure on this machine (ARGS=… goes to pytest)
	@.local/extras/bin/python -m pytest tests/extras $(ARGS)

ui: setup ## run Airflow's UI and scheduler on localhost, until Ctrl-C (another port: PORT=8081 make ui)
	@$(WITH_SERVER) -- bash -c '. ./env.sh && exec python tools/ui.py'

psql: setup ## open psql on the data (of DELIVERIES=folder); for scripts: `make -s psql < file.sql`
	@.venv/bin/python tools/embedded.py psql

verify: setup ## compare snapshots with the ledger, live with the newest one, and the archive (of DELIVERIES=folder)
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/verify.py'

erase: setup ## erase users: USERS_FILE=ids.txt (one per line) REASON='request 17' [YES=1] (docs/erasure.md)
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/erase.py "$$USERS_FILE" "$$REASON" $(if $(YES),--yes) $(ARGS)'

readmit: setup ## let erased users be loaded again: USERS_FILE=ids.txt REASON='new contract' (docs/erasure.md)
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/readmit.py "$$USERS_FILE" "$$REASON"'

training-set: setup ## write a training set to a Parquet file: AS_OF=2024-01-31 OUT=file.parquet [HORIZON=1] (docs/training.md)
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/training_set.py "$$AS_OF" "$${HORIZON:-1}" "$$OUT"'

manifest: setup ## write a delivery's manifest: FOLDER=month folder or its URL (docs/file-format.md)
	@bash -c '. ./env.sh && exec python tools/manifest.py "$$FOLDER"'

archive: setup ## archive sealed months as Parquet files, and apply keep_months ([MONTH=2024-01-31]; docs/archive.md)
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/archive.py "$${MONTH:-}"'

restore: setup ## bring a month back from the archive into the database: MONTH=2024-01-31
	@$(WITH_SERVER) --needs data -- bash -c '. ./env.sh && exec python tools/restore.py "$${MONTH:-}"'

sql: setup ## print the SQL that a task runs: TASK=snapshot TABLE=users MONTH=2024-01-31 [RESTATE=true]
	@.venv/bin/python tools/print_sql.py '$(TASK)' '$(TABLE)' '$(MONTH)' '$(RESTATE)'

schema: setup ## install roles and schema into a deployment's database: DATABASE=postgresql://admin@host/streamflow
	@.venv/bin/python tools/install_schema.py '$(DATABASE)'

check-tables: setup ## check the folders of include/tables, including every Great Expectations rule
	@.venv/bin/python tools/check_tables.py

docs: setup ## generate docs/data-dictionary.md from include/tables
	@.venv/bin/python tools/write_dictionary.py

env: ## write .env for docker-compose.yaml, with fresh secrets; never overwrites
	@$(PYTHON) tools/make_env.py

deploy-check: setup ## bring docker-compose.yaml up with two workers, kill one, check everything, take it down (needs docker)
	@command -v docker > /dev/null || { echo 'make deploy-check needs docker, which is not there.' >&2; exit 2; }
	.venv/bin/python -m pytest -x -s -m deploy -o console_output_style=classic tests/system/test_compose.py

bench: setup ## benchmark the month against psql, pandas, and peers (USERS="7043 100000" MONTHS=6 PEERS=1 ONLY="floor package" BESIDE=../old HISTORY=36 SCHEDULER=1)
	@.venv/bin/python bench/run.py

lint: setup ## run ruff and mypy on Python, sqlfluff on SQL
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/sqlfluff lint include/sql

lock: $(UV) ## pin all dependencies after a change of requirements*.txt
	@$(COMPILE) requirements-dev.txt -o requirements.lock
	$(COMPILE) requirements-s3.txt -c requirements.lock -o requirements-s3.lock
	$(COMPILE) requirements-azure.txt -c requirements.lock -c requirements-s3.lock -o requirements-azure.lock
	$(COMPILE) tests/stores/moto.txt -o tests/stores/moto.lock

sample: setup ## generate the sample deliveries in include/data
	@.venv/bin/python tools/generate_deliveries.py include/data --users 1000 --months 3 --seed 1

screenshots: setup ## take the screenshots in docs/images (needs chromium and chromedriver)
	@SCREENSHOTS=docs/images .venv/bin/python -m pytest tests/system/test_ui.py tests/system/test_web_ui.py

clean: ## remove .venv and .local: environment, databases, logs
	@rm -rf .venv .local

$(UV):
	@echo 'Installing uv …'
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=…")'
	$(PYTHON) -m venv .local/uv
	.local/uv/bin/pip install -q --disable-pip-version-check uv==0.13.9

.venv/.installed: $(UV) requirements.lock
	@echo 'Installing the environment (.venv) …'
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync -q --compile-bytecode --require-hashes requirements.lock
	touch $@

.local/.migrated: .venv/.installed
	@echo 'Preparing Airflow (.local/airflow) …'
	touch $@ # env.sh would call this again
	: > .local/migrate.log
	for metadata in airflow airflow_run; do # make run's starts as a copy of the other; no data is needed
	    env -u AIRFLOW__DATABASE__SQL_ALCHEMY_CONN -u AIRFLOW_CONN_STREAMFLOW_FS -u DELIVERIES AIRFLOW_CONN_STREAMFLOW_DB=none: \
	        $(WITH_SERVER) --metadata $$metadata -- bash -c '. ./env.sh && exec airflow db migrate' \
	        >> .local/migrate.log 2>&1 || { rm -f $@; tail -20 .local/migrate.log >&2; exit 1; }
	done

# the environment of .venv, and the clients of object storage
.local/extras/.installed: $(UV) requirements.lock requirements-s3.lock requirements-azure.lock
	@echo 'Installing the environment with S3 and Azure (.local/extras) …'
	$(UV) venv -q --allow-existing --python $(PYTHON) .local/extras
	VIRTUAL_ENV=.local/extras $(UV) pip sync -q --require-hashes requirements.lock requirements-s3.lock requirements-azure.lock
	touch $@

.local/moto/.installed: $(UV) tests/stores/moto.lock
	@echo 'Installing a server of S3 (.local/moto) …'
	$(UV) venv -q --allow-existing --python $(PYTHON) .local/moto
	VIRTUAL_ENV=.local/moto $(UV) pip sync -q --require-hashes tests/stores/moto.lock
	touch $@

# if it cannot be installed, its tests are skipped
.local/azurite/.installed: tests/stores/package.json tests/stores/package-lock.json
	@mkdir -p .local/azurite
	cp tests/stores/package.json tests/stores/package-lock.json .local/azurite
	echo "Installing a server of Azure's Blob Storage (.local/azurite) …"
	if npm ci --prefix .local/azurite --silent --prefer-offline --ignore-scripts --no-audit --no-fund; then
	    touch $@
	else
	    echo 'It could not be installed with npm: the tests of Azure are skipped.' >&2
	    rm -rf .local/azurite/node_modules
	fi
