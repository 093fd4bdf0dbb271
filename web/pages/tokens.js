// What tokens are used for: how many, by which operation, at which model's cost, and the latest calls.
import { html } from "../lib/html.js";
import { at, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { costOf, share, short, usd, whole } from "../lib/money.js";
import { now, scope, scopePairs } from "../lib/query.js";
import { buckets, keyOf, zoneName } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { go, onwards } from "../lib/url.js";
import { Bars } from "../parts/bars.js";
import { CallTable } from "../parts/calls.js";
import { Chart } from "../parts/chart.js";
import { Card, Cost, Empty, Shown } from "../parts/small.js";

export const title = "Token usage";
export const has = ["range", "filters"];

const TURN = 2 * Math.PI * 62;

export function Page() {
  const { tz, range } = scope.value;
  const pulse = live.pulse.value;
  const by = (/** @type {string} */ dimension) => at("/api/v1/usage", [...scopePairs(), ["group_by", dimension], ["limit", "200"]]);
  const days = useData(at("/api/v1/usage", [...scopePairs(), ["interval", range.interval]]), pulse);
  const operations = useData(by("operation"), pulse);
  const models = useData(by("model"), pulse);
  const recent = useData(at("/api/v1/calls", [...scopePairs(), ["limit", "20"]]), pulse);
  const list = days.data ? buckets(days.data, days.data.interval, tz, now.value) : [];
  const found = new Map((days.data?.rows ?? []).map((/** @type {any} */ row) => [keyOf(row.bucket, days.data.interval), row.total_tokens ?? 0]));
  const tokens = list.map(({ key }) => found.get(key) ?? 0);
  const sum = days.data?.total;
  return html`<${Card} title=${html`Tokens <span class="card-sum num">${sum && whole(sum.total_tokens ?? 0)}</span> <span class="quiet">${sum && html`<${Cost} row=${sum} /> · ${whole(sum.calls)} calls`}</span>`}>
    <${Shown} asked=${days} rows=${6}>${() => html`<${Chart} title="Tokens" kind="lines" buckets=${list} series=${[{ name: "Tokens", values: tokens }]} unit="tokens" format=${whole} axis=${short} note=${`tokens by ${days.data.interval} in ${zoneName(tz, now.value)} · drag to see the calls`}
      onPick=${(/** @type {any} */ from, /** @type {any} */ to) => go(onwards("/calls", { range: `${from.span.from}..${to.span.to}` }))} />`}<//><//>
    <div class="two-even"><${Card} title="Tokens by operation"><${Shown} asked=${operations}>${(/** @type {any} */ data) => html`<${Donut} data=${data} />`}<//><//>
    <${Card} title="Cost by model"><${Shown} asked=${models}>${(/** @type {any} */ data) => html`<${Bars} whole=${costOf(data.total) ?? 0n} format=${usd} bars=${data.rows.map((/** @type {any} */ row) => ({ name: row.model, label: row.rest ? `${whole(row.rest)} others` : undefined, value: costOf(row), href: row.rest ? undefined : onwards("/calls", { f: [`model:${row.model ?? ""}`] }) }))} />`}<//><//></div>
    <${Card} title="Recent calls" tools=${html`<a href=${onwards("/calls")}>All</a>`}><${Shown} asked=${recent}>${(/** @type {any} */ { data }) => (data.length ? html`<${CallTable} calls=${data} brief />` : html`<${Empty} title="No calls here." />`)}<//><//>`;
}

/** Shares as a ring, beside the same as sorted bars with percentages. @param {{data: any}} props */
function Donut({ data }) {
  const rows = [...data.rows].sort((one, other) => (other.total_tokens ?? 0) - (one.total_tokens ?? 0));
  const whole_ = data.total.total_tokens ?? 0;
  if (!whole_) return html`<${Empty} title="No tokens here." />`;
  let turned = 0;
  const parts = rows.slice(0, 7).map((row) => row.total_tokens ?? 0);
  const rest = whole_ - parts.reduce((all, one) => all + one, 0);
  const arcs = [...parts, ...(rest > 0 ? [rest] : [])].map((tokens, nth) => {
    const length = (tokens / whole_) * TURN;
    const arc = html`<circle class=${nth === 7 ? "c-rest" : `c${nth}`} cx="84" cy="84" r="62" stroke-dasharray=${`${Math.max(0, length - 1.5)} ${TURN}`} stroke-dashoffset=${-turned} transform="rotate(-90 84 84)" />`;
    turned += length;
    return arc;
  });
  return html`<div class="donut"><svg viewBox="0 0 168 168" role="img" aria-label=${`Tokens by operation: ${rows.slice(0, 7).map((row) => `${visible(row.operation ?? "none")} ${share(row.total_tokens ?? 0, whole_)}`).join(", ")}`}>${arcs}<text x="84" y="90" text-anchor="middle">${short(whole_)}</text></svg>
    <${Bars} whole=${whole_} format=${short} none="no operation" bars=${rows.map((row, nth) => ({ name: row.operation, label: row.rest ? `${whole(row.rest)} others` : undefined, value: row.total_tokens ?? 0, href: row.rest ? undefined : onwards("/calls", { f: [`operation:${row.operation ?? ""}`] }), parts: [{ value: row.total_tokens ?? 0, colour: nth < 7 ? `c${nth}` : "c-rest", title: "" }] }))} /></div>`;
}
