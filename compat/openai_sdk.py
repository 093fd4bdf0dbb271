"""What a program does with OpenAI's SDK. Base URL and key come from the SDK's own variables."""

import asyncio

import openai

from said import refusals, say

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "What is a ledger for?"}]
CHAT = {"model": MODEL, "messages": MESSAGES}


def refused(url, key):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
    try:
        client.chat.completions.create(**CHAT)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "has_id": bool(error.request_id)}


def streamed(name, chunks):
    say(
        name,
        chunks=len(chunks),
        text="".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        usages=[chunk.usage.model_dump() for chunk in chunks if chunk.usage],
        members=sorted(set().union(*(chunk.model_dump(exclude_unset=True) for chunk in chunks))),
    )


refusals(refused)
client = openai.OpenAI()

answer = client.chat.completions.create(**CHAT, user="ada")
say("chat", books={"user": "ada"}, answer=answer.model_dump())

answer = client.chat.completions.create(**CHAT, safety_identifier="bob")
say("chat, safety identifier", books={"user": "bob"}, answer=answer.model_dump())

streamed("stream", list(client.chat.completions.create(**CHAT, stream=True)))
asked = {"include_usage": True}
streamed(
    "stream that asks", list(client.chat.completions.create(**CHAT, stream=True, stream_options=asked))
)

with client.chat.completions.create(**CHAT, stream=True) as early:
    say("stream that is left", text=next(iter(early)).choices[0].delta.content)

answer = client.responses.create(model=MODEL, input="What is a ledger for?", prompt_cache_key="thread-42")
say("response", books={"session": "thread-42"}, text=answer.output_text, usage=answer.usage.model_dump())

events = list(client.responses.create(model=MODEL, input="What is it for?", stream=True))
say("response stream", events=[event.model_dump(mode="json") for event in events])

for encoding in ["float", openai.omit]:
    vectors = client.embeddings.create(
        model="text-embedding-3-small", input="ledger", encoding_format=encoding
    )
    say("embedding", vectors=[vector.embedding for vector in vectors.data], usage=vectors.usage.model_dump())

try:
    client.models.retrieve("no-such-model")
except openai.NotFoundError as error:
    say("not found", calls=0, body=error.body)


async def at_once():
    async with openai.AsyncOpenAI() as many:
        answers = await asyncio.gather(*(many.chat.completions.create(**CHAT) for _ in range(8)))
        ids = sorted(answer.id for answer in answers)
        say("at once", calls=8, ids=ids, texts=[answer.choices[0].message.content for answer in answers])
        stream = await many.chat.completions.create(**CHAT, stream=True)
        streamed("async stream", [chunk async for chunk in stream])


asyncio.run(at_once())
