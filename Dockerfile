# The package and its dependencies on Airflow's own image. docker-compose.yaml builds it; for Astro, see docs/deployment.md.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2
FROM ${AIRFLOW_IMAGE}

# Which stores deliveries may come from besides a folder: "s3", "azure", or "s3 azure" (docs/deployment.md, Object storage).
ARG EXTRAS=""

# The versions of requirements.lock, each by its hash. The image has the same Airflow and more providers; the checks fail
# if one of those does not fit the rest.
COPY requirements.txt requirements-s3.txt requirements-azure.txt requirements.lock requirements-s3.lock requirements-azure.lock ./
RUN uv pip install --no-cache --compile-bytecode --require-hashes -r requirements.txt -c requirements.lock \
    $(for extra in ${EXTRAS}; do echo "-r requirements-${extra}.txt -c requirements-${extra}.lock"; done) \
 && uv pip check && python -c "import airflow.providers.celery.executors.celery_executor" \
 && { python -m compileall -qq "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true; }
# (compiles everything in the image, so that not every container has to do it; templates in it cannot be compiled)

# what tasks import and read; deliveries are mounted instead
COPY dags dags
COPY plugins plugins
COPY include include
COPY tools/console.py tools/init_stack.py tools/install_schema.py tools/training_set.py tools/verify.py tools/

# volumes inherit the owner of these folders
RUN mkdir -p data_docs training_sets archive logs deliveries
