"""What a program does with OpenAI's SDK. Base URL and key come from the SDK's own variables."""

import json
import os
import sys

import openai

client = openai.OpenAI()
MESSAGES = [{"role": "user", "content": "What is a ledger for?"}]


def say(name, **seen):
    print(json.dumps({"case": name, **seen}, sort_keys=True))


if sys.argv[1:] == ["refused"]:
    try:
        openai.OpenAI(api_key="tb_nobody-has-this-key").chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES
        )
    except openai.AuthenticationError as error:
        say("refused", status=error.status_code, code=error.code, has_id=bool(error.request_id))
    sys.exit()

answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
say("chat", text=answer.choices[0].message.content, has_usage=answer.usage.total_tokens > 0)

chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))
say(
    "stream",
    text="".join(chunk.choices[0].delta.content or "" for chunk in chunks),
    chunks=len(chunks),
    usages=sum(chunk.usage is not None for chunk in chunks),
    members=sorted(set().union(*(chunk.model_dump(exclude_unset=True) for chunk in chunks))),
)

asked = {"include_usage": True}
chunks = list(
    client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=asked
    )
)
say("stream that asks", chunks=len(chunks), usages=sum(chunk.usage is not None for chunk in chunks))

with client.chat.completions.with_raw_response.create(
    model="gpt-4o-mini", messages=MESSAGES, stream=True
).parse() as early:
    say("stream that is left", text=next(iter(early)).choices[0].delta.content)

answer = client.responses.create(model="gpt-4o-mini", input="What is a ledger for?")
say("response", text=answer.output_text, has_usage=answer.usage.total_tokens > 0)

events = list(client.responses.create(model="gpt-4o-mini", input="What is it for?", stream=True))
say("response stream", events=[event.type for event in events])

vectors = client.embeddings.create(
    model="text-embedding-3-small", input="ledger", encoding_format="float"
)
say("embedding", vector=vectors.data[0].embedding)


async def several():
    import asyncio

    many = openai.AsyncOpenAI()
    answers = await asyncio.gather(
        *(many.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES) for _ in range(8))
    )
    say("at once", texts=sorted(answer.choices[0].message.content for answer in answers))


if os.environ.get("OPENAI_BASE_URL"):
    import asyncio

    asyncio.run(several())
