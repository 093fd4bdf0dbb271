"""What a program does with Anthropic's SDK. Base URL and key come from the SDK's own variables."""

import json
import sys

import anthropic

client = anthropic.Anthropic()
ASKED = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 99,
    "messages": [{"role": "user", "content": "What is a ledger for?"}],
}


def say(name, **seen):
    print(json.dumps({"case": name, **seen}, sort_keys=True))


if sys.argv[1:] == ["refused"]:
    try:
        anthropic.Anthropic(api_key="tb_nobody-has-this-key").messages.create(**ASKED)
    except anthropic.AuthenticationError as error:
        say("refused", status=error.status_code, type=error.body["error"]["type"])
    sys.exit()

answer = client.messages.create(**ASKED)
say("message", text=answer.content[0].text, has_usage=answer.usage.output_tokens > 0)

with client.messages.stream(**ASKED) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
say("stream", text=text, stop=final.stop_reason, has_usage=final.usage.output_tokens > 1)

events = [event.type for event in client.messages.create(**ASKED, stream=True)]
say("events", events=events)
