"""What a program does with Google's SDK. Base URL and key come from the SDK's own variables."""

from google import genai
from google.genai import errors, types

from said import refusals, say

ASKED = {"model": "gemini-2.5-flash", "contents": "What is a ledger for?"}


def refused(url, key):
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    try:
        client.models.generate_content(**ASKED)
    except errors.APIError as error:
        return {"error": type(error).__name__, "status": error.code, "named": error.status}


refusals(refused)
client = genai.Client()


def seen(answer):
    return answer.model_dump(mode="json", exclude={"sdk_http_response"}, exclude_none=True)


say("content", answer=seen(client.models.generate_content(**ASKED)))
say("stream", chunks=[seen(chunk) for chunk in client.models.generate_content_stream(**ASKED)])
