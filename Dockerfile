# gatewise serve with the models of the folder models/: docs/serving.md#in-a-container
FROM python:3.12 AS build
COPY . /src
RUN pip wheel --no-deps --wheel-dir /wheels /src

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/gatewise-*.whl)[serve]" && useradd --create-home gatewise
ARG MODEL=models/reviews
COPY ${MODEL} /models/reviews
USER gatewise
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/health/ready')"]
CMD ["gatewise", "serve", "-m", "/models/reviews", "--host", "0.0.0.0", "--port", "8000"]
