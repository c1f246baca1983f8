# docker build --tag optical-workbench .
# docker run --interactive --tty --volume "$PWD:/work" optical-workbench           (the app, on /work/results.duckdb)
# docker run --volume "$PWD:/work" optical-workbench run somali.toml               (any command)
FROM python:3.12-slim

WORKDIR /source
COPY . .
# On Linux the usual wheels of torch carry CUDA. Those of this index do not.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu 'torch==2.13.*' '.[demo,fonts]' \
    && rm -r /source

RUN useradd --create-home user && mkdir /work /data && chown user /work /data
USER user
ENV OPTICAL_DATA=/data
VOLUME /data
WORKDIR /work
ENTRYPOINT ["optical-workbench"]
