"""OpenInference's instrumentation of OpenAI's SDK."""

from openinference.instrumentation.openai import OpenAIInstrumentor

from otel import run, watched_by

run(watched_by(OpenAIInstrumentor()))
