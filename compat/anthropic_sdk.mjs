// What a program does with Anthropic's SDK for Node. Base URL and key come from the SDK's own variables.
import Anthropic from "@anthropic-ai/sdk";
import { refusals, say } from "./said.mjs";

const messages = [{ role: "user", content: "What is a ledger for?" }];
const asked = { model: "claude-sonnet-4-5", max_tokens: 99, messages };

await refusals((baseURL, apiKey) => new Anthropic({ baseURL, apiKey }).messages.create(asked));
const anthropic = new Anthropic();

const message = await anthropic.messages.create({ ...asked, metadata: { user_id: "ada" } });
say("message", { books: { user: "ada" }, message });

const events = [];
const stream = anthropic.messages.stream(asked).on("streamEvent", (event) => events.push(event.type));
const final = await stream.finalMessage();
say("stream", { events, final });
