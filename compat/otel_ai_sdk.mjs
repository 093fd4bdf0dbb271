// What a program does with Vercel's AI SDK, watched by its own telemetry. An outer span repeats what inner ones used.
import { OpenTelemetry } from "@ai-sdk/otel";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, registerTelemetry, streamText } from "ai";
import OpenAI from "openai";
import { refusals, say } from "./said.mjs";

const chat = { model: "gpt-4o-mini", messages: [{ role: "user", content: "What is a ledger for?" }] };
await refusals((url, apiKey) => new OpenAI({ baseURL: `${url}/v1`, apiKey }).chat.completions.create(chat));

// It reads its base URL when it is loaded, and takes an empty one amiss.
const { createOpenAI } = await import("@ai-sdk/openai");

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
registerTelemetry(new OpenTelemetry());

const books = { tags: { service: process.env.OTEL_SERVICE_NAME } };
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const asked = (model) => ({ model, prompt: "What is a ledger for?", telemetry: { isEnabled: true } });

const answer = await generateText(asked(openai.chat("gpt-4o-mini")));
say("chat", { books, text: answer.text, usage: answer.usage });

const stream = streamText(asked(openai.chat("gpt-4o-mini")));
let text = "";
for await (const part of stream.textStream) text += part;
say("stream", { books, text, usage: await stream.usage });

const response = await generateText(asked(openai.responses("gpt-4o-mini")));
say("response", { books, text: response.text });

await provider.shutdown();
