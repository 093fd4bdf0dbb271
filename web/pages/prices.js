// What calls are priced by: models without a price first, then the book, and how a name is understood.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, seesAll, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { usd, whole } from "../lib/money.js";
import { scope } from "../lib/query.js";
import { exact } from "../lib/time.js";
import { lines, visible } from "../lib/text.js";
import { changed, go, onwards, place } from "../lib/url.js";
import { Dialog } from "../parts/dialog.js";
import { Rerate } from "../parts/rerate.js";
import { Card, Empty, Failed, Name, Shown } from "../parts/small.js";

export const title = "Prices";
/** @type {string[]} */
export const has = [];

const PAGE = "100";
const UNPRICED_SHOWN = 12;
const COLUMNS = /** @type {[string, string][]} */ ([["input", "Input"], ["cache_read", "From cache"], ["cache_write", "Into cache"], ["output", "Output"]]);
const MILLION = 1_000_000n;

/** What a million units cost, in picodollars. @param {import("../lib/api.js").Shapes["RateCard"]} price @param {string} meter */
function perMillion(price, meter) {
  const of = (/** @type {string} */ name) => price.rates.find((/** @type {any} */ one) => one.meter === name);
  // Where how long it stays is priced apart, the shorter is the usual one.
  const rate = of(meter) ?? (meter === "cache_write" ? of("cache_write_5m") ?? of("cache_write_1h") : undefined);
  return rate ? (BigInt(rate.picos) * MILLION) / BigInt(rate.per) : null;
}

/** @param {{of: bigint | null}} props */
const Rate = ({ of }) => (of === null ? html`<span class="quiet">–</span>` : html`<span class="num">${of === 0n ? "free" : usd(of)}</span>`);

export function Page() {
  const { params } = place.value;
  const text = params.get("model") ?? "";
  const cursor = params.get("cursor");
  const pairs = /** @type {[string, string][]} */ ([["limit", PAGE], ...(text ? [["model", text]] : []), ...(cursor ? [["cursor", cursor]] : [])]);
  const asked = useData(at("/api/v1/prices", pairs));
  const sums = useData(at("/api/v1/usage", [["from", "365d"], ["group_by", "provider,model"], ["limit", "1000"]]), live.pulse.value);
  const own = useData(seesAll() ? "/api/v1/prices/own" : null);
  const rows = (sums.data?.rows ?? []).filter((/** @type {any} */ row) => !row.rest);
  const without = rows.filter((/** @type {any} */ row) => row.unpriced_calls > 0).sort((/** @type {any} */ one, /** @type {any} */ other) => other.unpriced_calls - one.unpriced_calls);
  const shown = params.get("unpriced") === "all" ? without : without.slice(0, UNPRICED_SHOWN);
  const used = new Map(rows.map((/** @type {any} */ row) => [`${row.provider}/${row.model}`, row.calls]));
  const find = (/** @type {any} */ event) => go(changed({ model: event.target.value || null, cursor: null }), { replace: true });
  return html`${without.length > 0 && html`<${Card} title=${html`Without a price <span class="badge warn">${without.length}</span>`}><p class="hint">Their calls are in no sum, and a strict budget refuses them. ${isAdmin() && html`Set a price, then <a href=${changed({ rerate: "1" })}>rate them again</a>.`}</p>
    <div class="wide-table"><table class="data"><thead><tr><th scope="col">Provider</th><th scope="col">Model</th><th scope="col" class="num">Calls without</th><th scope="col" class="num">Tokens</th><th scope="col"><span class="sr">Acts</span></th></tr></thead>
    <tbody>${shown.map((/** @type {any} */ row) => html`<tr><td data-label="Provider"><${Name} of=${row.provider} /></td><td class="strong"><a data-row href=${onwards("/calls", { range: "365d", f: [`model:${row.model ?? ""}`] })}><${Name} of=${row.model} /></a></td><td data-label="Calls" class="num">${whole(row.unpriced_calls)}</td><td data-label="Tokens" class="num">${whole(row.total_tokens ?? 0)}</td>
      <td>${isAdmin() && html`<a class="button" href=${changed({ set: `${row.provider}/${row.model}` })}>Set price</a>`}</td></tr>`)}</tbody></table></div>${shown.length < without.length && html`<p class="pager hint"><a class="button" href=${changed({ unpriced: "all" })}>All ${without.length}</a></p>`}<//>`}
  <${Own} asked=${own} /><${Match} />
  <${Card} title="The book" tools=${html`<input type="search" aria-label="Find a model" placeholder="Find a model" value=${text} onInput=${find} />`}><${Shown} asked=${asked}>${(/** @type {any} */ { data, has_more: more, next_cursor: next, at: instant }) => (data.length === 0
    ? html`<${Empty} title="No price in the book has such a name."><p>What a call says is matched by rules, too: try it above.</p><//>`
    : html`<p class="quiet">US dollars for a million, at ${exact(instant, scope.value.tz)}</p><div class="wide-table"><table class="data"><thead><tr><th scope="col">Provider</th><th scope="col">Model</th>${COLUMNS.map(([, label]) => html`<th scope="col" class="num">${label}</th>`)}<th scope="col">Since</th><th scope="col">Source</th><th scope="col" class="num">Calls, 12 months</th></tr></thead>
      <tbody>${data.map((/** @type {any} */ { provider, model, price }) => html`<tr key=${`${provider}/${model}`}><td data-label="Provider">${provider}</td><td class="strong"><button class="cell" data-row onClick=${() => go(changed({ show: `${provider}/${model}` }))}><${Name} of=${model} /></button></td>
        ${COLUMNS.map(([meter, label]) => html`<td data-label=${label} class="num"><${Rate} of=${perMillion(price, meter)} /></td>`)}<td data-label="Since">${price.effective_from ?? ""}</td><td data-label="Source">${visible(price.overridden_by ?? price.source)} <span class="quiet">${price.checked}</span></td><td data-label="Calls" class="num">${used.has(`${provider}/${model}`) ? whole(used.get(`${provider}/${model}`)) : ""}</td></tr>`)}</tbody></table></div>
      ${(cursor || more) && html`<p class="pager hint">${cursor && html`<a class="button" href=${changed({ cursor: null })}>First</a>`}${more && html`<a class="button" href=${changed({ cursor: next })}>More</a>`}</p>`}`)}<//><//>
  ${params.get("set") && isAdmin() && html`<${SetPrice} of=${params.get("set") ?? ""} onDone=${() => { own.again(); asked.again(); }} />`}${params.get("rerate") && isAdmin() && html`<${Dialog} title="Calls without a price" onClose=${() => go(changed({ rerate: null }))}><div class="form"><${Rerate} onDone=${own.again} /></div><//>`}${params.get("show") && html`<${One} of=${params.get("show") ?? ""} />`}`;
}

/** A rate card, meter by meter. @param {{price: import("../lib/api.js").Shapes["RateCard"]}} props */
const RateTable = ({ price }) => html`<table class="data formula"><thead><tr><th scope="col">Meter</th><th scope="col" class="num">Price</th></tr></thead><tbody>${price.rates.map((/** @type {any} */ rate) => html`<tr><td class="strong">${rate.meter.replaceAll("_", " ")}</td>
    <td class="num cost">${usd(BigInt(rate.picos))} <span class="quiet">per ${whole(rate.per)}</span>${rate.steps?.map((/** @type {any} */ step) => html`<div class="quiet">${usd(BigInt(step.picos))} beyond ${whole(step.above)}</div>`)}</td></tr>`)}</tbody></table>
  <dl class="pairs"><dt>Price</dt><dd>${visible(price.price_id)}</dd><dt>Rule</dt><dd>${visible(price.rule)}${price.conditions?.map((/** @type {string} */ one) => html`, ${visible(one)}`)}</dd><dt>Source</dt><dd>${visible(price.source)}, checked ${price.checked}</dd>
    ${price.effective_from && html`<dt>In effect</dt><dd>from ${price.effective_from}${price.effective_to && ` to ${price.effective_to}`}</dd>`}${price.overridden_by && html`<dt>By</dt><dd>your ${visible(price.overridden_by)}</dd>`}</dl>`;

/** @param {string} of @returns {[string, string]} */
const split = (of) => [of.slice(0, of.indexOf("/")), of.slice(of.indexOf("/") + 1)];

/** @param {{of: string}} props */
function One({ of }) {
  const [provider, model] = split(of);
  const asked = useData(at("/api/v1/prices/match", [["provider", provider], ["model", model]]));
  return html`<${Dialog} kind="drawer" title=${html`<${Name} of=${model} />`} onClose=${() => go(changed({ show: null }))}><${Shown} asked=${asked}>${(/** @type {any} */ found) => html`<div><${Found} found=${found} /><p><a href=${onwards("/calls", { f: [`model:${model}`], range: "365d" })}>Its calls</a></p></div>`}<//><//>`;
}

/** @param {{found: any}} props */
const Found = ({ found }) => html`${found.price ? html`<${RateTable} price=${found.price} />` : html`<p class="notice">${visible(found.why_not ?? "")}</p>`}
  ${found.near.length > 0 && !found.price && html`<h3>Near in name</h3><ul>${found.near.map((/** @type {any} */ one) => html`<li>${one.provider}/<${Name} of=${one.model} /></li>`)}</ul>`}
  ${found.others.length > 0 && html`<h3>Not these</h3><ul>${found.others.map((/** @type {any} */ one) => html`<li>${visible(one.price)}${one.rule && html` <span class="quiet">by ${visible(one.rule)}</span>`}: ${visible(one.why)}</li>`)}</ul>`}`;

/** How a name is understood. */
function Match() {
  const [name, setName] = useState("");
  const [provider, setProvider] = useState("openai");
  const [told, setTold] = useState("");
  const asked = useData(told ? at("/api/v1/prices/match", [["provider", provider], ["model", told]]) : null);
  return html`<${Card} title="Which price has a name?"><form class="row" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); setTold(name.trim()); }}>
    <label class="inline">Provider <input value=${provider} required onInput=${(/** @type {any} */ event) => setProvider(event.target.value)} /></label><label class="inline">Model <input value=${name} required placeholder="gpt-4o-2024-11-20" onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></label><button>Match</button></form>
    ${told && html`<${Shown} asked=${asked} rows=${2}>${(/** @type {any} */ found) => html`<${Found} found=${found} />`}<//>`}<//>`;
}

/** Sets a price of one's own, and offers it to what was recorded without one. @param {{of: string, onDone: () => void}} props */
function SetPrice({ of, onDone }) {
  const [provider, model] = split(of);
  const [rates, setRates] = useState({ input: "", output: "", cache_read: "" });
  const [made, setMade] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const set = (/** @type {"input" | "output" | "cache_read"} */ name) => (/** @type {any} */ event) => setRates({ ...rates, [name]: event.target.value });
  const told = Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== ""));
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    send("POST", "/api/v1/prices", { body: { provider, model, ...told } }).then(() => { setMade(true); setError(null); onDone(); }, setError);
  };
  return html`<${Dialog} title=${html`A price for <${Name} of=${model} />`} onClose=${() => go(changed({ set: null }))}>${made
    ? html`<div class="form"><p class="notice">It is in force for calls from now on.</p><${Rerate} match=${{ provider, model }} onDone=${onDone} /></div>`
    : html`<form class="form" onSubmit=${save}><p>For calls of <${Name} of=${provider} /> from now on, in US dollars for a million tokens.</p>
      <div class="row">${/** @type {const} */ (["input", "output", "cache_read"]).map((name) => html`<label class="wide">${name.replace("_", " ")} <input required=${name === "input"} inputmode="decimal" pattern="[0-9]+(\\.[0-9]+)?" value=${rates[name]} onInput=${set(name)} /></label>`)}</div>
      ${error && html`<${Failed} error=${error} />`}<div class="actions"><button type="button" onClick=${() => go(changed({ set: null }))}>Cancel</button><button class="main">Set</button></div></form>`}<//>`;
}

/** Prices that were set here. @param {{asked: import("../lib/api.js").Asked}} props */
function Own({ asked }) {
  const [sure, setSure] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const remove = (/** @type {string} */ id) => send("DELETE", `/api/v1/prices/own/${encodeURIComponent(id)}`).then(() => { setSure(""); asked.again(); }, setError);
  const data = asked.data?.data ?? [];
  if (asked.error && !asked.data) return html`<${Failed} error=${asked.error} again=${asked.again} />`;
  return data.length === 0 ? null : html`<${Card} title="Your own, set here">${error && html`<${Failed} error=${error} />`}<ul class="stack">${data.map((/** @type {any} */ own) => html`<li key=${own.id}><pre class="raw" tabindex="0">${lines(own.text.trim())}</pre>
    <span class="quiet">${exact(own.created_at, scope.value.tz)} · <code>${own.id}</code></span> ${isAdmin() && (sure === own.id ? html`<button class="danger" onClick=${() => remove(own.id)}>Yes, take it away</button> <button onClick=${() => setSure("")}>Keep it</button>` : html`<button class="plain" onClick=${() => setSure(own.id)}>Take away</button>`)}</li>`)}</ul><//>`;
}
