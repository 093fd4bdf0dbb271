"""Two instrumentations of one SDK: both tell of every call."""

from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as OpenTelemetry

from otel import run, watched_by

run(watched_by(OpenTelemetry(), OpenInference()))
