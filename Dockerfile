# One image for every service of the platform: `nilecare run <service>`.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python3 -m venv --without-pip /opt/nilecare
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > needed.txt \
 && pip --python /opt/nilecare/bin/python install --no-cache-dir --constraint constraints.txt --requirement needed.txt
COPY contracts contracts
COPY broker broker
COPY services services
COPY nilecare nilecare
RUN pip --python /opt/nilecare/bin/python install --no-cache-dir --no-deps . \
 && /opt/nilecare/bin/python -m compileall -q /opt/nilecare/lib

FROM python:3.13-slim
COPY --from=build /opt/nilecare /opt/nilecare
ENV PATH=/opt/nilecare/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/nilecare
USER 10001:10001
ENTRYPOINT ["nilecare"]
CMD ["--help"]
