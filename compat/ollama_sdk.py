"""What a program does with Ollama's client. Where the server is comes from the client's own variable, the key by a header."""

import os

import ollama

from said import refusals, say

ASKED = {"model": "llama3.2", "messages": [{"role": "user", "content": "What is a ledger for?"}]}


def with_key(key, host=None):
    return ollama.Client(host=host, headers={"authorization": f"Bearer {key}"})


def refused(url, key):
    try:
        with_key(key, url).chat(**ASKED)
    except ollama.ResponseError as error:
        return {"error": type(error).__name__, "status": error.status_code}


refusals(refused)
client = with_key(os.environ["COMPAT_KEY"])
say("chat", answer=client.chat(**ASKED).model_dump())
say("stream", chunks=[chunk.model_dump() for chunk in client.chat(**ASKED, stream=True)])
