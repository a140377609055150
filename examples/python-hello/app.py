"""A small service on Flask. gunicorn stops by itself on SIGTERM: running requests are finished, then the end."""

from flask import Flask, Response

GREETING = "Hello from python-hello, version 1\n"

app = Flask(__name__)


@app.get("/")
def greet():
    return Response(GREETING, mimetype="text/plain")


@app.get("/healthz")
def health():
    return Response("ok\n", mimetype="text/plain")
