# The package and what it needs, on Airflow's own image; docker-compose.yaml builds it, docs/deployment.md says how Astro does.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2
FROM ${AIRFLOW_IMAGE}

# The versions of requirements.lock, each by its hash. The image brings the same Airflow and more providers; the checks
# say if one of those does not go with the rest.
COPY requirements.txt requirements.lock ./
RUN uv pip install --no-cache --compile-bytecode --require-hashes -r requirements.txt -c requirements.lock \
 && uv pip check && python -c "import airflow.providers.celery.executors.celery_executor" \
 && { python -m compileall -qq "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true; }
# (all that the image brings is compiled too, else each container does it for itself; templates among it cannot be)

# what tasks import and read; deliveries are mounted, not copied
COPY dags dags
COPY plugins plugins
COPY include include
COPY tools/console.py tools/init_stack.py tools/install_schema.py tools/verify.py tools/

# volumes take over these folders' owner
RUN mkdir -p data_docs logs deliveries
