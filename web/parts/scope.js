// The one scope of the page: range, zone, filters, and whether what is shown is live.
import { useEffect, useState } from "preact/hooks";
import { at as withPairs, useData } from "../lib/api.js";
import { html } from "../lib/html.js";
import * as live from "../lib/live.js";
import { whole } from "../lib/money.js";
import { addFilter, DIMENSIONS, isDimension, labelOf, now, scope, setFilters } from "../lib/query.js";
import { ago, dayIn, plus, RANGES, spanParams, zoneName } from "../lib/time.js";
import { changed, go } from "../lib/url.js";
import { visible } from "../lib/text.js";
import { Dialog } from "./dialog.js";
import { Failed, Loading, Name } from "./small.js";

/** Goes a range back or on. @param {number} by */
export function shift(by) {
  const { range } = scope.value;
  const { from, to } = range.span;
  if (from.includes("T")) {
    const [start, end] = [Date.parse(from), to ? Date.parse(to) : now.value];
    const text = (/** @type {number} */ ms) => new Date(ms + by * (end - start)).toISOString();
    go(changed({ range: `${text(start)}..${text(end)}` }));
  } else if (to) {
    const days = Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000) + 1;
    go(changed({ range: `${plus(from, by * days)}..${plus(to, by * days)}` }));
  }
}

/** @param {{has: string[]}} props which parts the page has: range, compare, filters */
export function ScopeBar({ has }) {
  const { range, tz, filters, ignored, compares } = scope.value;
  const [custom, setCustom] = useState(false);
  const [adding, setAdding] = useState("");
  useEffect(() => {
    const open = () => setAdding("model");
    document.addEventListener("tollbook:filter", open);
    return () => document.removeEventListener("tollbook:filter", open);
  }, []);
  const known = RANGES.some(([name]) => name === range.name);
  return html`<div class="scope">
    <div class="scope-line">
      ${has.includes("range") && html`<div class="range">
        <button class="step" onClick=${() => shift(-1)} aria-label="Range before" title="Range before  [">‹</button>
        <select aria-label="Range" value=${known ? range.name : "custom"} onChange=${(/** @type {any} */ event) => (event.target.value === "custom" ? setCustom(true) : go(changed({ range: event.target.value })))}>
          ${RANGES.map(([name, label]) => html`<option value=${name}>${label}</option>`)}
          <option value="custom">${known ? "Custom …" : range.label}</option>
        </select>
        <button class="step" onClick=${() => shift(1)} aria-label="Next range" title="Next range  ]">›</button>
        ${!known && html`<button class="step" onClick=${() => setCustom(true)} aria-label="Change the range" title="Change the range">✎</button>`}
      </div>`}
      ${has.includes("compare") && html`<label class="check"><input type="checkbox" checked=${compares} onChange=${() => go(changed({ compare: compares ? null : "1" }))} /> Compare</label>`}
      <span class="zone" title="The zone of days and axes">${zoneName(tz, now.value)}</span>
      ${has.includes("filters") && html`<button class="add" onClick=${() => setAdding("model")} title="Filter  /">+ Filter</button>`}
      <${LiveMark} />
    </div>
    ${has.includes("filters") && filters.length > 0 && html`<div class="filters">
      ${filters.map((filter) => html`<span class=${`chip ${filter.isNot ? "not" : ""}`}>
        <button title="Turn it around: is / is not" onClick=${() => addFilter({ ...filter, isNot: !filter.isNot })}>${labelOf(filter.key)} ${filter.isNot ? "is not" : "is"} <${Name} of=${filter.value} /></button>
        <button class="close" aria-label=${`Take out the filter ${visible(filter.value)}`} onClick=${() => setFilters(filters.filter((other) => other !== filter))}>✕</button></span>`)}
      ${filters.length > 1 && html`<button class="plain" onClick=${() => setFilters([])}>Clear all</button>`}
    </div>`}
    ${ignored.length > 0 && html`<p class="notice" role="status">Not understood in the address, and left out: ${ignored.map((part) => html`<code>${visible(part)}</code> `)}</p>`}
    ${custom && html`<${CustomRange} onClose=${() => setCustom(false)} />`}
    ${adding && html`<${FilterBox} start=${adding} onClose=${() => setAdding("")} />`}
  </div>`;
}

function LiveMark() {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 5_000);
    return () => clearInterval(timer);
  }, []);
  const words = /** @type {Record<string, string>} */ ({ live: "Live", connecting: "Connecting", paused: "Paused", off: "Off" });
  const state = live.state.value;
  const said = words[state] ?? (live.heardAt.value ? `Last update ${ago(Date.now() - live.heardAt.value)}` : "Not connected");
  return html`<button class=${`live is-${state}`} onClick=${live.toggle} title="Pause or go on  l" aria-pressed=${state === "paused"}><i aria-hidden="true"></i><span>${said}</span></button>`;
}

/** @param {{onClose: () => void}} props */
function CustomRange({ onClose }) {
  const { range, tz } = scope.value;
  const today = dayIn(now.value, tz);
  const day = (/** @type {string | null} */ text, /** @type {string} */ other) => (text === null ? other : text.includes("T") ? dayIn(Date.parse(text), tz) : text);
  const [from, setFrom] = useState(day(range.span.from, today));
  const [to, setTo] = useState(day(range.span.to, today));
  const apply = (/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
    go(changed({ range: from <= to ? `${from}..${to}` : `${to}..${from}` }));
  };
  return html`<${Dialog} title="Range" onClose=${onClose}><form class="form" onSubmit=${apply}>
    <label>From <input type="date" required value=${from} onInput=${(/** @type {any} */ event) => setFrom(event.target.value)} /></label>
    <label>To, with that day <input type="date" required value=${to} onInput=${(/** @type {any} */ event) => setTo(event.target.value)} /></label>
    <p class="quiet">Days in ${zoneName(tz, now.value)}</p><div class="actions"><button class="main">Show</button></div>
  </form><//>`;
}

/** Values of a dimension with their counts, to be in or out. @param {{start: string, onClose: () => void}} props */
function FilterBox({ start, onClose }) {
  const [key, setKey] = useState(start);
  const [text, setText] = useState("");
  const [tag, setTag] = useState("");
  const dimension = key === "tag" ? `tag.${tag}` : key;
  const pairs = [...spanParams(scope.value.range.span), ...scope.value.zone, /** @type {[string, string]} */ (["group_by", dimension]), /** @type {[string, string]} */ (["limit", "200"])];
  const asked = useData(isDimension(dimension) ? withPairs("/api/v1/usage", pairs) : null);
  const rows = (asked.data?.group_by?.[0] === dimension ? asked.data.rows : []).filter((/** @type {any} */ row) => !row.rest);
  const found = rows.filter((/** @type {any} */ row) => String(row[dimension] ?? "").toLowerCase().includes(text.toLowerCase()));
  const take = (/** @type {string} */ value, /** @type {boolean} */ isNot) => {
    addFilter({ key: dimension, value, isNot });
    onClose();
  };
  const typed = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (isDimension(dimension) && text) take(found.length === 1 ? found[0][dimension] ?? "" : text, false);
  };
  return html`<${Dialog} title="Filter" onClose=${onClose}><form class="form filter-box" onSubmit=${typed}>
    <div class="row"><label>By <select value=${key} onChange=${(/** @type {any} */ event) => setKey(event.target.value)}>
      ${Object.entries(DIMENSIONS).map(([name, label]) => html`<option value=${name}>${label}</option>`)}<option value="tag">Tag …</option></select></label>
    ${key === "tag" && html`<label>Tag's name <input value=${tag} placeholder="team" onChange=${(/** @type {any} */ event) => setTag(event.target.value.trim())} /></label>`}
    <label class="wide">Value <input value=${text} placeholder="Type to find" autofocus onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label></div>
    ${asked.error && html`<${Failed} error=${asked.error} />`}
    ${asked.isLoading ? html`<${Loading} rows=${3} />` : html`<ul class="choices">${found.slice(0, 100).map((/** @type {any} */ row) => html`<li>
      <${Name} of=${row[dimension]} /><span class="num quiet">${whole(row.calls)} ${row.calls === 1 ? "call" : "calls"}</span>
      <button type="button" onClick=${() => take(row[dimension] ?? "", false)}>is</button><button type="button" onClick=${() => take(row[dimension] ?? "", true)}>is not</button></li>`)}
      ${found.length === 0 && isDimension(dimension) && html`<li class="quiet">${text ? "No call in this range has such a value; Enter filters by it all the same." : "No call in this range says it."}</li>`}</ul>`}
  </form><//>`;
}
