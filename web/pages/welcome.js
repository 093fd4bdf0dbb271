// The first five minutes: three ways to the first call, and the page turns by itself when it is there.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { picos, usd, whole } from "../lib/money.js";
import { changed, go, place } from "../lib/url.js";
import { callAddress } from "../parts/calls.js";
import { Failed, Name, Snippet } from "../parts/small.js";

export const title = "Welcome";
/** @type {string[]} */
export const has = [];

const TABS = /** @type {[string, string][]} */ ([["event", "Send an event"], ["gateway", "Use the gateway"], ["import", "Import logs"]]);

export function Page() {
  const tab = place.value.params.get("tab") ?? "event";
  const [key, setKey] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const known = useData(at("/api/v1/calls", [["limit", "1"], ["sort", "recorded"]]));
  const before = useRef(/** @type {number | null} */ (null));
  if (known.data && before.current === null) before.current = known.data.data.length;
  const first = live.calls.value[live.calls.value.length - 1] ?? (before.current ? known.data?.data[0] : null);
  const make = async () => {
    try {
      setKey((await send("POST", "/api/v1/keys", { body: { name: "welcome", role: "gateway+ingest" } })).key);
      setError(null);
    } catch (refused) {
      setError(refused);
    }
  };
  const said = key || "YOUR-TOLLBOOK-KEY";
  const { origin } = location;
  const event = `curl -s ${origin}/api/v1/events -H "authorization: Bearer ${said}" -H 'content-type: application/json' \\\n  -d '{"id":"hello-1","provider":"openai","model":"gpt-4o","usage":{"input_tokens":1200,"output_tokens":300},"user":"me"}'`;
  const gateway = `export OPENAI_BASE_URL=${origin}/openai/v1 OPENAI_API_KEY=${said}\nexport ANTHROPIC_BASE_URL=${origin}/anthropic ANTHROPIC_API_KEY=${said}`;
  const imports = "tollbook import claude-code ~/.claude --dry-run\ntollbook import claude-code ~/.claude";
  return html`<div class="welcome">
    <${Arrival} call=${first} isFirst=${before.current === 0} />
    <div class="tabs" role="tablist" aria-label="Ways to the first call">${TABS.map(([name, label]) => html`<button role="tab" id=${`tab-${name}`} aria-controls="tab-panel" aria-selected=${tab === name} onClick=${() => go(changed({ tab: name }), { replace: true })}>${label}</button>`)}</div>
    <section class="card" role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>
      ${tab !== "import" && isAdmin() && (key ? html`<p class="hint">The key is shown this once; it is in the text below.</p>` : html`<p>Put the first key that <code>tollbook serve</code> printed in its place, or <button onClick=${make}>make a key</button> and have it put in here.</p>`)}
      ${error && html`<${Failed} error=${error} />`}
      ${tab === "event" && html`<p>Tell of a call that was made elsewhere. Send it twice: it counts once.</p><${Snippet} text=${event} id="snippet-event" />`}
      ${tab === "gateway" && html`<p>Change the base URL and the key; the program stays as it is, and streams stay streams. The provider's own key stays with the server: start it with <code>OPENAI_API_KEY</code>, <code>ANTHROPIC_API_KEY</code> and so on set.</p><${Snippet} text=${gateway} />`}
      ${tab === "import" && html`<p>Coding agents keep logs of what they used. The first line tells what would come in; a second run adds nothing.</p><${Snippet} text=${imports} />
        <p class="quiet">Also: <code>codex</code>, <code>litellm</code>, <code>jsonl</code>, <code>responses</code>.</p>`}
    </section>
    <div class="next"><a class="button" href="/budgets?new=1">Set a budget</a><a class="button" href="/keys?new=member">Invite somebody</a><a class="button" href="/">Open the dashboard</a></div>
  </div>`;
}

/** Waits for the first call, and tells of it. @param {{call: any, isFirst: boolean}} props */
function Arrival({ call, isFirst }) {
  const [since] = useState(Date.now());
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
  if (!call) return html`<div class="arrival" role="status" data-testid="arrival"><i class="pulse" aria-hidden="true"></i><div><strong>Waiting for the first event …</strong><div class="quiet">${Math.round((Date.now() - since) / 1000)} s · this page turns by itself</div></div></div>`;
  const { usage } = call;
  return html`<div class="arrival there" role="status" data-testid="arrival"><div><strong>${isFirst ? "First event: " : "Calls are coming in: "}<${Name} of=${call.model} /> · ${whole(usage?.total_tokens ?? (usage ? (usage.input_tokens ?? 0) + (usage.output_tokens ?? 0) : null))} tokens · ${usd(picos(call.cost_usd))}</strong>
    <div class="quiet">Send the same again: it is counted once.</div></div><a class="button" href=${callAddress(call, (path) => path)}>Open call</a><a class="button main" href="/">Open dashboard</a></div>`;
}
