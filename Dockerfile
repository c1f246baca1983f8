# docker build --tag optical-workbench --build-arg PIP_EXTRA_INDEX_URL=URL .
#   URL: PyTorch's index of CPU wheels, as "Get started" on pytorch.org shows it. Without it the image carries CUDA.
# docker run --interactive --tty --volume "$PWD:/work" optical-workbench        # the app, on results.duckdb here
# docker run --volume "$PWD:/work" optical-workbench run somali.toml            # any command
FROM python:3.12-slim

ARG PIP_EXTRA_INDEX_URL=
COPY . /source
RUN pip install --no-cache-dir '/source[demo,fonts]' && rm -r /source

RUN useradd --create-home user && mkdir /work /data && chown user /work /data
USER user
ENV OPTICAL_DATA=/data
VOLUME /data
WORKDIR /work
ENTRYPOINT ["optical-workbench"]
