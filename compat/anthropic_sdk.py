"""What a program does with Anthropic's SDK. Base URL and key come from the SDK's own variables."""

import asyncio

import anthropic

from said import refusals, say

ASKED = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 99,
    "messages": [{"role": "user", "content": "What is a ledger for?"}],
}


def refused(url, key):
    try:
        anthropic.Anthropic(base_url=url, api_key=key).messages.create(**ASKED)
    except anthropic.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "has_id": bool(error.request_id)}


refusals(refused)
client = anthropic.Anthropic()

answer = client.messages.create(**ASKED, metadata={"user_id": "ada"})
say("message", books={"user": "ada"}, answer=answer.model_dump(mode="json"))

with client.messages.stream(**ASKED) as stream:
    pieces = list(stream.text_stream)
    say("stream", pieces=pieces, final=stream.get_final_message().model_dump(mode="json"))

events = client.messages.create(**ASKED, stream=True)
say("events", events=[event.model_dump(mode="json") for event in events])

try:
    client.models.retrieve("no-such-model")
except anthropic.NotFoundError as error:
    say("not found", calls=0, body=error.body)


async def at_once():
    async with anthropic.AsyncAnthropic() as many:
        answers = await asyncio.gather(*(many.messages.create(**ASKED) for _ in range(4)))
        say("at once", calls=4, ids=sorted(answer.id for answer in answers))


asyncio.run(at_once())
