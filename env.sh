# The environment of every `airflow` command in this checkout: `. ./env.sh`, from the checkout's folder.
#
# Existing environment variables take precedence: AIRFLOW_CONN_STREAMFLOW_DB and AIRFLOW_CONN_STREAMFLOW_FS point it at
# another database and another folder of deliveries. If a database is not set, the embedded PostgreSQL provides it while
# this shell runs.

if [ ! -f env.sh ] || [ ! -d plugins/streamflow ]; then
    echo "env.sh: source it from its own folder: cd …; . ./env.sh" >&2
    return 1
fi
if [ ! -x .venv/bin/airflow ] || [ ! -f .local/.migrated ]; then
    make -s setup >&2 || return 1
fi

export PATH="$PWD/.venv/bin:$PATH"
export AIRFLOW_HOME="${AIRFLOW_HOME:-$PWD/.local/airflow}"
export AIRFLOW__CORE__DAGS_FOLDER="${AIRFLOW__CORE__DAGS_FOLDER:-$PWD/dags}"
export AIRFLOW__CORE__PLUGINS_FOLDER="${AIRFLOW__CORE__PLUGINS_FOLDER:-$PWD/plugins}"
export AIRFLOW__CORE__LOAD_EXAMPLES="${AIRFLOW__CORE__LOAD_EXAMPLES:-False}"
export AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH="${AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH:-16384}" # SQL whole in the UI
export AIRFLOW__CORE__EXECUTOR="${AIRFLOW__CORE__EXECUTOR:-LocalExecutor}"
export AIRFLOW__STREAMFLOW__SETTLE_SECONDS="${AIRFLOW__STREAMFLOW__SETTLE_SECONDS:-5}"
export AIRFLOW__STREAMFLOW__POKE_INTERVAL="${AIRFLOW__STREAMFLOW__POKE_INTERVAL:-5}"
export AIRFLOW__STREAMFLOW__WAIT_TIMEOUT="${AIRFLOW__STREAMFLOW__WAIT_TIMEOUT:-600}"
export AIRFLOW__STREAMFLOW__RETRY_DELAY="${AIRFLOW__STREAMFLOW__RETRY_DELAY:-5}"
export AIRFLOW__STREAMFLOW__SHOW_VALUES="${AIRFLOW__STREAMFLOW__SHOW_VALUES:-True}"
export GX_ANALYTICS_ENABLED=false

if [ -z "${AIRFLOW_CONN_STREAMFLOW_FS:-}" ]; then
    streamflow_folder=$(cd "${DELIVERIES:-include/data}" && pwd -P) || return 1
    export AIRFLOW_CONN_STREAMFLOW_FS="{\"conn_type\": \"fs\", \"extra\": {\"path\": \"$streamflow_folder\"}}"
    unset streamflow_folder
fi

if [ -z "${AIRFLOW_CONN_STREAMFLOW_DB:-}" ] || [ -z "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:-}" ]; then
    streamflow_exports=$(python tools/embedded.py hold $$) || return 1
    eval "$streamflow_exports"
    unset streamflow_exports
fi
