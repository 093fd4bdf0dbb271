"""OpenTelemetry's own instrumentation of OpenAI's SDK."""

from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

from otel import run, watched_by

run(watched_by(OpenAIInstrumentor()))
