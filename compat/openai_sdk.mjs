// What a program does with OpenAI's SDK for Node. Base URL and key come from the SDK's own variables.
import OpenAI from "openai";
import { refusals, say } from "./said.mjs";

const messages = [{ role: "user", content: "What is a ledger for?" }];
const chat = { model: "gpt-4o-mini", messages };

await refusals((url, apiKey) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey }).chat.completions.create(chat),
);
const openai = new OpenAI();

const answer = await openai.chat.completions.create({ ...chat, user: "ada" });
say("chat", { books: { user: "ada" }, answer });

for (const stream_options of [undefined, { include_usage: true }]) {
  const chunks = [];
  for await (const chunk of await openai.chat.completions.create({ ...chat, stream: true, stream_options })) {
    chunks.push(chunk);
  }
  say("stream", { chunks });
}

const runner = openai.chat.completions.stream(chat);
say("stream helper", { final: await runner.finalContent() });

const response = await openai.responses.create({ model: "gpt-4o-mini", input: "What is it for?" });
say("response", { text: response.output_text, usage: response.usage });

const several = await Promise.all([1, 2, 3, 4].map(() => openai.chat.completions.create(chat)));
say("at once", { calls: 4, ids: several.map((one) => one.id).sort() });
