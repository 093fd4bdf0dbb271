// One question, two views: a chart and a table of the same rows with the same total, by anything.
import { useEffect } from "preact/hooks";
import { html } from "../lib/html.js";
import * as live from "../lib/live.js";
import { METRICS } from "../lib/metrics.js";
import { costOf, decimal, pixels, share, whole } from "../lib/money.js";
import { learnNames, nameOf } from "../lib/names.js";
import { addFilter, asCommand, asCurl, DIMENSIONS, isDimension, labelOf, now, scope } from "../lib/query.js";
import { useSeries } from "../lib/series.js";
import { zoneName } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { changed, go, onwards, place } from "../lib/url.js";
import { Bars } from "../parts/bars.js";
import { Chart, Legend } from "../parts/chart.js";
import * as keyboard from "../parts/keyboard.js";
import { Share } from "../parts/share.js";
import { Card, Cost, Count, Delta, Empty, Name, Shown } from "../parts/small.js";

export const title = "Explore";
export const has = ["range", "compare", "filters"];

const INTERVALS = ["hour", "day", "week", "month"];
/** Bars of a split that stand alone. */
const BARS = 12;


export function Page() {
  const { params } = place.value;
  useEffect(() => { learnNames(); }, []);
  const read = (/** @type {string} */ name) => params.get(name);
  const by = isDimension(read("by") ?? "") ? /** @type {string} */ (read("by")) : "model";
  const split = isDimension(read("split") ?? "") && read("split") !== by ? /** @type {string} */ (read("split")) : null;
  const name = (read("metric") ?? "") in METRICS ? /** @type {string} */ (read("metric")) : "cost";
  const metric = /** @type {import("../lib/metrics.js").Metric} */ (METRICS[name]);
  const interval = INTERVALS.includes(read("interval") ?? "") ? read("interval") : null;
  const view = read("view") ?? "both";
  const found = useSeries({ by, split, metric, interval, pulse: live.pulse.value });
  const set = (/** @type {string} */ key) => (/** @type {any} */ event) => go(changed({ [key]: event.target.value || null }));
  const turn = () => go(changed({ view: view === "both" ? "chart" : view === "chart" ? "table" : null }));
  useEffect(() => keyboard.bind({ t: turn }), [view]);
  const { tz } = scope.value;
  const dimensions = [...Object.keys(DIMENSIONS), ...[by, split].filter((one) => one && !(one in DIMENSIONS))];
  const options = (/** @type {string | null} */ without) => dimensions.filter((one) => one !== without).map((one) => html`<option value=${one}>${labelOf(/** @type {string} */ (one))}</option>`);
  const groups = [by, ...(split ? [split] : [])];
  const pick = (/** @type {any} */ from, /** @type {any} */ to) => go(onwards("/calls", { range: `${from.span.from}..${to.span.to}`, sort: "cost" }));
  const total = found.sum ? metric.of(found.sum) : null;
  const command = asCommand("usage", [["--by", groups.join(",")], ...(metric.isStats ? /** @type {[string, string][]} */ ([["--stats", ""]]) : [])]);
  return html`<div class="toolbar" role="group" aria-label="The question">
    <label>Show <select value=${name} onChange=${set("metric")}>${Object.entries(METRICS).map(([key, { label }]) => html`<option value=${key}>${label}</option>`)}</select></label>
    <label>by <select value=${by} onChange=${set("by")}>${options(split)}</select></label>
    <label>then by <select value=${split ?? ""} onChange=${set("split")}><option value="">nothing</option>${options(by)}</select></label>
    <label>every <select value=${interval ?? ""} onChange=${set("interval")}><option value="">${found.interval}</option>${INTERVALS.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
    <${TagBox} by=${by} />
    <span class="push"></span>
    <button onClick=${turn} title="Table or chart  t">${view === "both" ? "Chart only" : view === "chart" ? "Table only" : "Both"}</button>
    <${Share} name=${`tollbook-${name}-by-${groups.join("-")}`} head=${[...groups, "calls", "input_tokens", "cache_read_tokens", "output_tokens", "total_tokens", "cost_usd", "unpriced_calls", ...(metric.isStats ? [name] : []), ...(metric.isSum ? ["share"] : [])]}
      rows=${() => tableRows(found.rows, groups, metric, total)} command=${command} curl=${asCurl(found.path)} />
  </div>
  <${Shown} asked=${found.asked} rows=${10}>${() => (found.sum.calls === 0
    ? html`<${Empty} title="No calls match.">${scope.value.filters.length ? html`<a class="button" href=${changed({ f: null })}>Clear filters</a>` : html`<p>Once there are calls, this shows them by ${labelOf(by).toLowerCase()}.</p><code>${command}</code>`}<//>`
    : html`${view !== "table" && html`<${Card} title=${html`${metric.label} by ${labelOf(by).toLowerCase()} ${split && html`and ${labelOf(split).toLowerCase()}`} <span class="card-sum num" data-testid="explore-total" data-exact=${metric.exact(total)}>${metric.format(total)}${name === "cost" && total !== null && found.sum.unpriced_calls > 0 && html`<span class="mark" title="Calls without a price are not in it">+</span>`}</span>
        ${found.past && html`<${Delta} now=${metric.unit === "milliseconds" ? null : total} before=${metric.of(found.past)} isGood=${name === "cost" || name === "errors" ? "less" : "neither"} />`}`}>
      ${split && metric.isSum ? html`<${Split} found=${found} by=${by} split=${split} metric=${metric} total=${total} />`
        : html`<${Chart} title=${`${metric.label} by ${labelOf(by)}`} buckets=${found.list} series=${named(found.series, by)} kind=${metric.isSum ? "bars" : "lines"} total=${found.total} before=${found.earlier}
          unit=${metric.unit} format=${metric.format} axis=${metric.axis} onPick=${pick} note=${`${metric.unit} by ${found.interval} in ${zoneName(tz, now.value)} · drag to see the calls`} height=${300} />
        <${Legend} series=${named(found.series, by)} onPick=${(/** @type {any} */ one, /** @type {boolean} */ isNot) => addFilter({ key: by, value: one.value ?? "", isNot })} />`}<//>`}
    ${view !== "chart" && html`<${Table} found=${found} groups=${groups} metric=${metric} name=${name} total=${total} />`}`)}<//>`;
}

/** Series under the names that people know. @param {any[]} series @param {string} by */
const named = (series, by) => series.map((one) => ({ ...one, value: one.name, name: nameOf(by, one.name) }));

/** @param {{by: string}} props */
function TagBox({ by }) {
  const set = (/** @type {any} */ event) => {
    const key = `tag.${event.target.value.trim()}`;
    if (isDimension(key)) go(changed({ by: key }));
  };
  return html`<label>or by tag <input class="short" value=${by.startsWith("tag.") ? by.slice(4) : ""} placeholder="team" onChange=${set} /></label>`;
}

/** The rows as a file has them. @param {any[]} rows @param {string[]} groups @param {import("../lib/metrics.js").Metric} metric @param {any} total */
const tableRows = (rows, groups, metric, total) => rows.map((row) => {
  const cost = costOf(row);
  return [...groups.map((key, nth) => (row.rest ? (nth ? "" : `${row.rest} others`) : row[key] ?? null)), row.calls, row.input_tokens ?? 0, row.cache_read_tokens ?? 0, row.output_tokens ?? 0, row.total_tokens ?? 0,
    cost === null ? null : decimal(cost), row.unpriced_calls, ...(metric.isStats ? [metric.exact(metric.of(row))] : []), ...(metric.isSum ? [share(metric.of(row) ?? 0, total)] : [])];
});

/** Bars by one dimension whose parts are another. @param {any} props */
function Split({ found, by, split, metric, total }) {
  /** @type {Map<string | null, {value: any, parts: any[]}>} */
  const bars = new Map();
  const seen = [...new Set(found.rows.filter((/** @type {any} */ row) => !row.rest).map((/** @type {any} */ row) => row[split]))];
  const order = seen.slice(0, 7);
  const colourOf = (/** @type {any} */ value) => (order.includes(value) ? `c${order.indexOf(value)}` : "c-rest");
  for (const row of found.rows) {
    const key = row.rest ? "\u0000rest" : row[by] ?? null;
    const bar = bars.get(key) ?? { value: null, parts: [] };
    const value = metric.of(row);
    if (value !== null) {
      bar.value = bar.value === null ? value : bar.value + value;
      bar.parts.push({ value, colour: row.rest ? "c-rest" : colourOf(row[split]), title: `${visible(String(nameOf(split, row[split]) ?? "none"))}: ${metric.format(value)}` });
    }
    bars.set(key, bar);
  }
  const list = [...bars].map(([name, { value, parts }]) => ({ name: nameOf(by, name), label: name === "\u0000rest" ? "Others" : undefined, value, parts, href: name === "\u0000rest" ? undefined : onwards("/calls", { f: [...place.value.params.getAll("f"), `${by}:${name ?? ""}`], sort: "cost" }) }))
    .sort((one, other) => pixels(other.value) - pixels(one.value));
  const series = named([...order.map((name) => ({ name, values: [] })), ...(seen.length > order.length ? [{ name: null, rest: true, values: [] }] : [])], split);
  return html`<${Bars} bars=${list.slice(0, BARS)} whole=${total} format=${metric.format} />${list.length > BARS && html`<p class="hint">${list.length - BARS} more in the table.</p>`}
    <${Legend} series=${series} onPick=${(/** @type {any} */ one, /** @type {boolean} */ isNot) => addFilter({ key: split, value: one.value ?? "", isNot })} />`;
}

/** @param {any} props */
function Table({ found, groups, metric, name, total }) {
  const special = !["cost", "calls", "input", "output", "cached"].includes(name);
  const click = (/** @type {string} */ key, /** @type {any} */ row) => (/** @type {MouseEvent} */ event) => addFilter({ key, value: row[key] ?? "", isNot: event.altKey });
  const cells = (/** @type {any} */ row) => html`<td data-label="Calls" class="num">${whole(row.calls)}</td><td data-label="In" class="num"><${Count} of=${row.input_tokens ?? 0} /></td><td data-label="Cached" class="num"><${Count} of=${row.cache_read_tokens ?? 0} /></td>
    <td data-label="Out" class="num"><${Count} of=${row.output_tokens ?? 0} /></td><td data-label="Cost" class="num cost"><${Cost} row=${row} /></td>${special && html`<td data-label=${metric.label} class="num">${metric.format(metric.of(row))}</td>`}`;
  return html`<${Card} title="Table" tools=${html`<span class="quiet">Click a name to keep only it, Alt-click to leave it out</span>`}><div class="wide-table"><table class="data" data-testid="explore-table"><thead><tr>${groups.map((/** @type {string} */ key) => html`<th scope="col">${labelOf(key)}</th>`)}
    <th scope="col" class="num">Calls</th><th scope="col" class="num">In</th><th scope="col" class="num">Cached</th><th scope="col" class="num">Out</th><th scope="col" class="num">Cost</th>${special && html`<th scope="col" class="num">${metric.label}</th>`}<th scope="col" class="num">Share</th></tr></thead>
    <tbody>${found.rows.map((/** @type {any} */ row) => html`<tr>${groups.map((/** @type {string} */ key, /** @type {number} */ nth) => html`<td class=${nth ? "" : "strong"} data-label=${labelOf(key)}>${row.rest ? (nth ? "" : `${whole(row.rest)} others`)
      : html`<button class="cell" data-row onClick=${click(key, row)}><${Name} of=${nameOf(key, row[key])} /></button>`}</td>`)}${cells(row)}<td data-label="Share" class="num quiet">${metric.isSum ? share(metric.of(row) ?? 0, total) : ""}</td></tr>`)}</tbody>
    <tfoot><tr><td class="strong">Total</td>${groups.slice(1).map(() => html`<td></td>`)}${cells(found.sum)}<td></td></tr></tfoot></table></div>
    ${found.sum.unpriced_calls + found.sum.estimated_calls > 0 && html`<p class="hint">${[found.sum.unpriced_calls && `${whole(found.sum.unpriced_calls)} calls without a price are in no sum`, found.sum.estimated_calls && `${whole(found.sum.estimated_calls)} estimated`].filter(Boolean).join(" · ")}</p>`}<//>`;
}
