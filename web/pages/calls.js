// The calls themselves, and one of them in full: what it used, what each part of it cost, and why.
import { useEffect } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { duration, picos, usd, whole } from "../lib/money.js";
import { keyNames, learnNames } from "../lib/names.js";
import { asCommand, asCurl, isOpen, now, scope, scopePairs } from "../lib/query.js";
import { exact, zoneName } from "../lib/time.js";
import { lines, visible } from "../lib/text.js";
import { address, changed, go, onwards, place } from "../lib/url.js";
import { callAddress, CallTable } from "../parts/calls.js";
import { Dialog } from "../parts/dialog.js";
import { Share } from "../parts/share.js";
import { Basis, Copy, Cost, Empty, Failed, Loading, Name, Shown, Status, Usd } from "../parts/small.js";

export const title = "Calls";
export const has = ["range", "filters"];

const PAGE = 50;
/** Files of all calls in scope, by what the server calls them. */
const EXPORTS = /** @type {[string, string][]} */ ([["CSV", "csv"], ["JSON Lines", "jsonl"], ["FOCUS", "focus"]]);
const HEAD = ["occurred_at", "id", "source", "provider", "model", "user", "key", "operation", "input_tokens", "cache_read_tokens", "output_tokens", "cost_usd", "latency_ms", "time_to_first_token_ms", "status", "evidence", "cost_basis"];

export function Page() {
  const { params, path } = place.value;
  const sort = params.get("sort") === "cost" ? "cost" : "time";
  const cursor = params.get("cursor");
  const isFirst = !cursor;
  useEffect(() => { learnNames(); }, []);
  const pulse = isFirst ? live.pulse.value : 0;
  const question = /** @type {[string, string][]} */ ([...scopePairs(), ["sort", sort], ["limit", String(PAGE)]]);
  const asked = useData(at("/api/v1/calls", [...question, ...(cursor ? /** @type {[string, string][]} */ ([["cursor", cursor]]) : [])]), pulse);
  const sums = useData(at("/api/v1/usage", scopePairs()), live.pulse.value);
  const id = path.startsWith("/calls/") ? decodeURIComponent(path.slice(7)) : null;
  // New calls come in by themselves where the newest are shown; under filters they are asked for.
  const heard = isFirst && sort === "time" && isOpen() ? live.calls.value : [];
  const keyOf = (/** @type {any} */ call) => `${call.project} ${call.source} ${call.id}`;
  const fresh = new Set(heard.map(keyOf));
  const from = asked.data?.data.at(-1)?.occurred_at ?? "";
  const calls = asked.data ? [...heard.filter((call) => call.occurred_at >= from || !asked.data.has_more), ...asked.data.data.filter((/** @type {any} */ call) => !fresh.has(keyOf(call)))] : [];
  if (sort === "time") calls.sort((one, other) => (one.occurred_at < other.occurred_at ? 1 : -1));
  const within = (/** @type {string} */ to, /** @type {Record<string, string | string[] | null>} */ more = {}) => {
    const kept = new URLSearchParams(params);
    for (const name of ["source", "project"]) kept.delete(name);
    for (const [name, value] of Object.entries(more)) kept.set(name, String(value));
    return address(to, kept);
  };
  const open = (/** @type {any} */ call) => callAddress(call, within);
  const place_ = calls.findIndex((call) => call.id === id);
  const next = asked.data?.next_cursor;
  return html`<div class="toolbar"><label>Sort by <select value=${sort} onChange=${(/** @type {any} */ event) => go(changed({ sort: event.target.value, cursor: null }))}><option value="time">time, latest first</option><option value="cost">cost, dearest first</option></select></label>
    <span class="quiet" data-testid="calls-sum">${sums.data && html`${whole(sums.data.total.calls)} ${sums.data.total.calls === 1 ? "call" : "calls"} · <${Cost} row=${sums.data.total} id="calls-cost" />`}</span><span class="push"></span>
    <${Share} name="tollbook-calls" head=${HEAD} rows=${() => calls.map(rowOf)} all=${EXPORTS.map(([label, format]) => [label, at("/api/v1/export", [["format", format], ...scopePairs()])])} command=${asCommand("calls", [["--sort", sort]])} curl=${asCurl(at("/api/v1/calls", question))} /></div>
  <${Shown} asked=${asked} rows=${14}>${() => (calls.length === 0
    ? html`<${Empty} title="No calls match.">${scope.value.filters.length ? html`<a class="button" href=${changed({ f: null, cursor: null })}>Clear filters</a>` : html`<p>Every call through the gateway and every event stands here.</p><a class="button" href="/welcome">Send the first</a>`}<//>`
    : html`<section class="card" aria-label="Calls"><div class="wide-table top-table"><${CallTable} calls=${calls} fresh=${new Set(heard.slice(0, 5).map((call) => call.id))} address=${open} /></div></section>
      <nav class="pager" aria-label="Pages of calls">${cursor && html`<a class="button" href=${changed({ cursor: null })}>First</a>`}${asked.data.has_more && next && html`<a class="button" href=${changed({ cursor: next })}>More</a>`}<span class="quiet">times in ${zoneName(scope.value.tz, now.value)}</span></nav>`)}<//>
  ${id !== null && html`<${Drawer} key=${id} id=${id} source=${params.get("source")} project=${params.get("project")} onClose=${() => go(within("/calls"))}
    before=${calls[place_ - 1] && open(calls[place_ - 1])} after=${place_ >= 0 && calls[place_ + 1] ? open(calls[place_ + 1]) : null} />`}`;
}

/** @typedef {import("../lib/api.js").Shapes} Shapes */

/** @param {Shapes["Call"]} call */
const rowOf = (call) => [call.occurred_at, call.id, call.source, call.provider, call.model, call.user ?? null, call.key ?? null, call.operation ?? null, call.usage?.input_tokens ?? null, call.usage?.cache_read_tokens ?? null,
  call.usage?.output_tokens ?? null, call.cost_usd ?? null, call.latency_ms ?? null, call.time_to_first_token_ms ?? null, call.status, call.evidence, call.cost_basis];

/** @param {{id: string, source: string | null, project: string | null, onClose: () => void, before: string | null | undefined, after: string | null}} props */
function Drawer({ id, source, project, onClose, before, after }) {
  const where = /** @type {[string, string][]} */ ([...(source ? [["source", source]] : []), ...(project ? [["project", project]] : [])]);
  const base = `/api/v1/calls/${encodeURIComponent(id)}`;
  const asked = useData(where.length ? at(base, where) : base);
  const why = useData(where.length ? at(`${base}/explain`, where) : `${base}/explain`);
  const call = asked.data;
  const tools = html`<a class="button" href=${before ?? null} aria-disabled=${!before} aria-label="Call before">‹</a><a class="button" href=${after ?? null} aria-disabled=${!after} aria-label="Next call">›</a>`;
  return html`<${Dialog} kind="drawer" title=${call ? html`<${Name} of=${call.model} />` : "Call"} onClose=${onClose} tools=${tools}>
    ${asked.error && html`<${Failed} error=${asked.error} again=${asked.again} />`}${!call && !asked.error && html`<${Loading} rows=${8} />`}
    ${call && html`<p class="drawer-cost"><span class="card-sum"><${Usd} of=${picos(call.cost_usd)} id="drawer-cost" /></span> <${Basis} call=${call} /> <${Status} of=${call.status} /></p>
      ${call.error && html`<p class="notice">${visible(call.error)}${call.http_status && ` (HTTP ${call.http_status})`}</p>`}
      ${why.data ? html`<${Formula} why=${why.data} />` : why.error ? html`<${Failed} error=${why.error} again=${why.again} />` : html`<${Loading} />`}
      ${why.data && !why.data.legs.some((/** @type {any} */ leg) => leg.lines.length > 0) && html`<${Used} usage=${call.usage} />`}
      <${Times} call=${call} /><${Facts} call=${call} />
      ${call.adjustments.length > 0 && html`<h3>Corrected since</h3><ol>${call.adjustments.map((/** @type {any} */ one) => html`<li>${exact(one.at, scope.value.tz)} · ${visible(one.reason)} · <${Usd} of=${picos(one.cost_usd)} /> <span class="badge">${one.evidence.replaceAll("_", " ")}</span></li>`)}</ol>`}
      ${call.captured && html`<${Words} of=${call.captured} />`}
      ${why.data?.raw_usage && html`<h3>What the provider said</h3><pre class="raw" tabindex="0">${pretty(why.data.raw_usage)}</pre>`}`}
  <//>`;
}

/** Prompt and answer, where they were captured: text, whatever stands in it. @param {{of: Shapes["Captured"]}} props */
function Words({ of }) {
  const part = (/** @type {string} */ title, /** @type {string | null | undefined} */ text, /** @type {boolean} */ isCut) => (text === null || text === undefined ? null
    : html`<h3>${title}</h3><pre class="raw" tabindex="0">${lines(text)}</pre>${isCut && html`<p class="quiet">There was more than is kept.</p>`}`);
  return html`${part("Asked", of.prompt, of.prompt_is_cut)}${part("Answered", of.answer, of.answer_is_cut)}`;
}

/** JSON on several lines, or as it came. @param {string} text */
function pretty(text) {
  try {
    return lines(JSON.stringify(JSON.parse(text), null, 1));
  } catch {
    return visible(text);
  }
}

const unit = (/** @type {string} */ meter) => meter.replaceAll("_", " ");

/** The sum, line by line: quantity times price. @param {{why: Shapes["Explanation"]}} props */
function Formula({ why }) {
  const priced = why.legs.filter((/** @type {any} */ leg) => leg.lines.length > 0);
  const of = (/** @type {any} */ line) => `${usd(BigInt(line.picos))} per ${line.per === 1 ? "" : whole(line.per)} ${line.per === 1 ? unit(line.meter) : ""}`.trim();
  return html`<h3>Why</h3><p>Counted by ${visible(why.basis_in_words)}.${why.unpriced_because && html` ${visible(why.unpriced_because)}`}</p>
    ${priced.map((/** @type {any} */ leg) => html`<table class="data formula"><thead><tr><th scope="col">${visible(leg.model)}</th><th scope="col" class="num">Quantity</th><th scope="col" class="num">× price</th><th scope="col" class="num">= cost</th></tr></thead>
      <tbody>${leg.lines.map((/** @type {any} */ line) => html`<tr><td class="strong">${unit(line.meter)}${line.priced_as !== line.meter && html` <span class="quiet">at the price of ${unit(line.priced_as)}</span>`}</td><td data-label="Quantity" class="num">${whole(line.quantity)}</td>
        <td data-label="Price" class="num">${of(line)}</td><td class="num cost" title=${`$${line.cost_usd}`}>$${line.cost_usd}${line.rounded ? html` <span class="quiet" title="Rounded half to even, to the picodollar">≈</span>` : ""}</td></tr>`)}</tbody>
      <tfoot><tr><td class="strong">Sum</td><td></td><td></td><td class="num cost">${leg.cost_usd === null || leg.cost_usd === undefined ? "unpriced" : `$${leg.cost_usd}`}</td></tr></tfoot></table>
      ${leg.price && html`<p class="quiet">Price ${visible(leg.price.rule ?? leg.price.model ?? leg.card_id)}${leg.price.source && html` · from ${visible(String(leg.price.source))}`}${leg.price.effective_from && html` · in effect from ${leg.price.effective_from}`}${leg.price.effective_to && html` to ${leg.price.effective_to}`}${leg.price.checked && html` · checked ${leg.price.checked}`}</p>`}`)}
    ${why.provider_cost && html`<p>The provider itself reported <${Usd} of=${picos(why.provider_cost.total)} />${why.book_cost_usd && html`; the price book says <${Usd} of=${picos(why.book_cost_usd)} />`}.</p>`}
    ${why.worst_case_usd && html`<p>At most it cost <${Usd} of=${picos(why.worst_case_usd)} />.</p>`}
    <p class="quiet">${why.recomputed === "equal" ? "Computed again just now from the recorded price: the same." : why.recomputed === "differs" ? "Computed again just now: it differs from what is recorded. `tollbook verify` says more." : ""}</p>`;
}

/** What a call used of which no line says what it cost. @param {{usage: any}} props */
const Used = ({ usage }) => usage && html`<h3>Used</h3><dl class="pairs">${Object.entries(usage).filter(([, count]) => typeof count === "number").map(([name, count]) => html`<dt>${unit(name)}</dt><dd class="num">${whole(/** @type {number} */ (count))}</dd>`)}</dl>`;

/** When what happened. @param {{call: Shapes["Call"]}} props */
function Times({ call }) {
  const { tz } = scope.value;
  const [first, all] = [call.time_to_first_token_ms ?? null, call.latency_ms ?? null];
  return html`<h3>Time</h3><dl class="pairs"><dt>Began</dt><dd>${exact(call.occurred_at, tz)} <span class="quiet">${zoneName(tz, Date.parse(call.occurred_at))}</span></dd>
    ${first !== null && html`<dt>First token</dt><dd class="num">after ${duration(first)}</dd>`}${all !== null && html`<dt>End</dt><dd class="num">after ${duration(all)}</dd>`}
    ${call.recorded_at && html`<dt>Recorded</dt><dd>${exact(call.recorded_at, tz)}</dd>`}</dl>
    ${all !== null && all > 0 && html`<div class="track line" aria-hidden="true"><i class="c-rest" style=${{ width: `${Math.min(100, ((first ?? 0) / all) * 100)}%` }}></i><i class="c0" style=${{ flex: 1 }}></i></div>`}`;
}

/** On whose account, with a way to the calls like it. @param {{call: any}} props */
function Facts({ call }) {
  const link = (/** @type {string} */ key, /** @type {string} */ value) => html`<a href=${onwards("/calls", { f: [`${key}:${value}`] })}><${Name} of=${key === "key" ? keyNames.value[value] ?? value : value} /></a>`;
  const dimensions = ["project", "customer", "user", "agent", "agent_name", "operation", "operation_id", "session", "key", "provider", "model", "source"];
  return html`<h3>Account</h3><dl class="pairs">${dimensions.filter((key) => call[key]).map((key) => html`<dt>${unit(key)}</dt><dd>${link(key, call[key])}</dd>`)}
    ${Object.entries(call.tags ?? {}).map(([name, value]) => html`<dt>tag <${Name} of=${name} /></dt><dd>${link(`tag.${name}`, String(value))}</dd>`)}
    ${call.request_model && call.request_model !== call.model && html`<dt>asked for</dt><dd><${Name} of=${call.request_model} /></dd>`}
    ${call.service_tier && html`<dt>tier</dt><dd><${Name} of=${call.service_tier} /></dd>`}${call.hold_id && html`<dt>hold</dt><dd><code>${visible(call.hold_id)}</code>, settled</dd>`}
    <dt>evidence</dt><dd>${unit(call.evidence)}${call.estimator && html` by <${Name} of=${call.estimator} />`}</dd>
    <dt>id</dt><dd><code><bdi>${visible(call.id)}</bdi></code> <${Copy} text=${call.id} /></dd></dl>
    ${call.flags?.length > 0 && html`<p>${call.flags.map((/** @type {string} */ flag) => html`<span class="badge warn">${unit(visible(flag))}</span> `)}</p>`}
    ${call.metadata && Object.keys(call.metadata).length > 0 && html`<h3>Metadata</h3><pre class="raw" tabindex="0">${pretty(JSON.stringify(call.metadata))}</pre>`}`;
}
