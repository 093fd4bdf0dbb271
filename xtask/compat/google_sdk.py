"""What a program does with Google's SDK. Base URL and key come from the SDK's own variables."""

import json
import sys

from google import genai
from google.genai import errors

MODEL = "gemini-2.5-flash"


def say(name, **seen):
    print(json.dumps({"case": name, **seen}, sort_keys=True))


if sys.argv[1:] == ["refused"]:
    try:
        genai.Client(api_key="tb_nobody-has-this-key").models.generate_content(
            model=MODEL, contents="What is a ledger for?"
        )
    except errors.ClientError as error:
        say("refused", status=error.code, named=error.status)
    sys.exit()

client = genai.Client()
answer = client.models.generate_content(model=MODEL, contents="What is a ledger for?")
say("content", text=answer.text, has_usage=answer.usage_metadata.total_token_count > 0)

chunks = list(client.models.generate_content_stream(model=MODEL, contents="What is it for?"))
say(
    "stream",
    text="".join(chunk.text or "" for chunk in chunks),
    chunks=len(chunks),
    has_usage=chunks[-1].usage_metadata.total_token_count > 0,
)
