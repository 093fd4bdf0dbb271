// What a program does with the SDKs for Node. Base URLs and keys come from the SDKs' own variables.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const messages = [{ role: "user", content: "What is a ledger for?" }];
const say = (name, seen) => console.log(JSON.stringify({ case: name, ...seen }));

if (process.argv[2] === "refused") {
  try {
    const client = new OpenAI({ apiKey: "tb_nobody-has-this-key" });
    await client.chat.completions.create({ model: "gpt-4o-mini", messages });
  } catch (error) {
    say("refused", { name: error.constructor.name, status: error.status, code: error.code });
  }
  process.exit();
}

const openai = new OpenAI();
const answer = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
say("chat", { text: answer.choices[0].message.content, hasUsage: answer.usage.total_tokens > 0 });

let text = "";
let usages = 0;
for await (const chunk of await openai.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true })) {
  text += chunk.choices[0].delta.content ?? "";
  usages += chunk.usage ? 1 : 0;
}
say("stream", { text, usages });

const response = await openai.responses.create({ model: "gpt-4o-mini", input: "What is it for?" });
say("response", { text: response.output_text });

const anthropic = new Anthropic();
const asked = { model: "claude-sonnet-4-5", max_tokens: 99, messages };
const message = await anthropic.messages.create(asked);
say("message", { text: message.content[0].text });
const final = await anthropic.messages.stream(asked).finalMessage();
say("message stream", { text: final.content[0].text, stop: final.stop_reason });
