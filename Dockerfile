# A worker of `forge` on Dataflow: Beam's image, the wheel, and the kernels' machine code.
#
#     python -m build --wheel
#     docker build --tag IMAGE . && docker push IMAGE
#     forge clean gs://... -o gs://... --runner DataflowRunner --beam sdk_container_image=IMAGE ...
#
# Python and Beam must be those of the machine that launches the job.
ARG PYTHON=3.11
ARG BEAM=2.77.0
FROM apache/beam_python${PYTHON}_sdk:${BEAM}

# Machine code for every x86-64 CPU with AVX2, whatever CPU builds the image: without the two the
# cache holds code for the CPU of the build, which no worker with another one would take.
ENV NUMBA_CPU_NAME=x86-64-v3 \
    NUMBA_CPU_FEATURES="" \
    NUMBA_CACHE_DIR=/opt/corpusforge \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONSAFEPATH=1

COPY constraints.txt dist/corpusforge-*.whl /tmp/
RUN wheel="$(ls /tmp/corpusforge-*.whl)" \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt "${wheel}[gcp]" \
    && rm /tmp/constraints.txt "${wheel}" \
    && forge doctor \
    && sample="$(python -c 'import corpusforge.sample_data as s; print(list(s.__path__)[0])')" \
    && forge clean "${sample}" -o /tmp/clean --quiet \
    && forge tokenize /tmp/clean -o /tmp/tok --vocab-size 1000 --quiet \
    && rm -r /tmp/clean /tmp/tok \
    && chmod -R a+rwX /opt/corpusforge
