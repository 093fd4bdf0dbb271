"""What an instrumented program does: calls through OpenAI's SDK, told of by OpenTelemetry to whom its own variables name."""

import os

import openai
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from said import refusals, say

MODEL = "gpt-4o-mini"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "What is a ledger for?"}]}


def refused(url, key):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key)
    try:
        client.chat.completions.create(**CHAT)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "has_id": bool(error.request_id)}


def watched_by(*instrumentors):
    """Begins to watch with these; gives a tracer of the program's own, and what ends it all."""

    def watch():
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        for instrumentor in instrumentors:
            instrumentor.instrument(tracer_provider=provider)
        return provider.get_tracer("an agent's"), provider.shutdown

    return watch


def run(watch):
    refusals(refused)
    tracer, end = watch()
    told = {"tags": {"service": os.environ["OTEL_SERVICE_NAME"]}}
    client = openai.OpenAI()

    answer = client.chat.completions.create(**CHAT)
    say("chat", books=told, answer=answer.model_dump())

    asked = {"include_usage": True}
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options=asked))
    say("stream that asks", books=told, chunks=len(chunks))

    # An agent's span tells the sum of what the calls below it used.
    with tracer.start_as_current_span("invoke_agent helper") as span:
        answers = [client.chat.completions.create(**CHAT) for _ in range(2)]
        span.set_attribute("gen_ai.operation.name", "invoke_agent")
        span.set_attribute("gen_ai.request.model", MODEL)
        span.set_attribute("gen_ai.usage.input_tokens", sum(one.usage.prompt_tokens for one in answers))
        say("an agent", calls=2, books=told, ids=[one.id for one in answers])

    end()
