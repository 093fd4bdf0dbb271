// What agents use: today, this month, an average, the budget, tokens by day, and a table by agent.
import { html } from "../lib/html.js";
import { at, isAdmin, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { costOf, picos, short, usd, whole } from "../lib/money.js";
import { now, scope, scopePairs } from "../lib/query.js";
import { buckets, dayIn, keyOf, zoneName } from "../lib/time.js";
import { go, onwards } from "../lib/url.js";
import { BudgetBar, used } from "../parts/budget.js";
import { Chart, Legend } from "../parts/chart.js";
import { Card, Cost, Count, Empty, Name, Shown } from "../parts/small.js";

export const title = "Agents";
export const has = ["range", "filters"];

export function Page() {
  const { tz, range, pairs } = scope.value;
  const pulse = live.pulse.value;
  const today = dayIn(now.value, tz);
  const of = (/** @type {string} */ from) => at("/api/v1/usage", [["from", from], ["to", today], ...pairs]);
  const day = useData(of(today), pulse);
  const month = useData(of(`${today.slice(0, 8)}01`), pulse);
  const mean = useData(at("/api/v1/stats", scopePairs()), pulse);
  const daily = useData(at("/api/v1/usage", [...scopePairs(), ["interval", range.interval === "hour" ? "hour" : "day"]]), pulse);
  const table = useData(at("/api/v1/usage", [...scopePairs(), ["group_by", "agent,agent_name"], ["limit", "500"]]), pulse);
  const budgets = useData(isAdmin() ? "/api/v1/budgets" : null, pulse);
  const tightest = [...(budgets.data?.data ?? [])].sort((one, other) => used({ ...other, ...other.accounts?.[0] }) - used({ ...one, ...one.accounts?.[0] }))[0];
  const list = daily.data ? buckets(daily.data, daily.data.interval, tz, now.value) : [];
  const places = new Map(list.map(({ key }, nth) => [key, nth]));
  const series = ["input_tokens", "output_tokens"].map((name) => {
    const values = new Array(list.length).fill(0);
    for (const row of daily.data?.rows ?? []) values[places.get(keyOf(row.bucket, daily.data.interval)) ?? 0] = row[name] ?? 0;
    return { name: name === "input_tokens" ? "Tokens in" : "Tokens out", values };
  });
  const total = list.map((_, nth) => Number(series[0]?.values[nth]) + Number(series[1]?.values[nth]));
  const tile = (/** @type {string} */ name, /** @type {any} */ is, /** @type {any} */ more) => html`<div class="tile"><span class="tile-name">${name}</span><span class="tile-is num">${is ?? html`<i class="wait"></i>`}</span><span class="tile-sub">${more}</span></div>`;
  return html`${tightest && html`<${BudgetBar} budget=${tightest} account=${tightest.accounts?.[0]} href=${`/budgets?open=${encodeURIComponent(tightest.id)}`} />`}
    <div class="tiles four">${tile("Tokens today", day.data && short(day.data.total.total_tokens ?? 0), day.data && `${whole(day.data.total.calls)} requests`)}${tile("Cost today", day.data && usd(costOf(day.data.total)), zoneName(tz, now.value))}
      ${tile("This month", month.data && usd(costOf(month.data.total)), month.data && `${short(month.data.total.total_tokens ?? 0)} tokens`)}${tile("Average a request", mean.data && (mean.data.total.calls ? usd(picos(mean.data.total.cost_avg_usd)) : "–"), range.label.toLowerCase())}</div>
    <${Card} title="Tokens in and out"><${Shown} asked=${daily}>${() => html`<${Chart} title="Tokens in and out" kind="area" buckets=${list} series=${series} total=${total} unit="tokens" format=${whole} axis=${short} note=${`tokens by ${daily.data.interval} in ${zoneName(tz, now.value)}`}
      onPick=${(/** @type {any} */ from, /** @type {any} */ to) => go(onwards("/calls", { range: `${from.span.from}..${to.span.to}` }))} /><${Legend} series=${series} />`}<//><//>
    <${Card} title="By agent"><${Shown} asked=${table}>${(/** @type {any} */ { rows, total: sum }) => (rows.length === 0 ? html`<${Empty} title="No calls here."><p>Calls name their agent with the header <code>x-tollbook-agent</code> or the member <code>agent</code>.</p><//>`
    : html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">Agent</th><th scope="col">Name</th><th scope="col" class="num">Requests</th><th scope="col" class="num">Tokens in</th><th scope="col" class="num">Tokens out</th><th scope="col" class="num">Cost</th></tr></thead>
      <tbody>${rows.map((/** @type {any} */ row) => html`<tr><td class="strong">${row.rest ? `${whole(row.rest)} others` : html`<a data-row href=${onwards("/calls", { f: [`agent:${row.agent ?? ""}`] })}><${Name} of=${row.agent} none="no agent" /></a>`}</td><td data-label="Name">${row.agent_name && html`<${Name} of=${row.agent_name} />`}</td><td data-label="Requests" class="num">${whole(row.calls)}</td>
        <td data-label="In" class="num"><${Count} of=${row.input_tokens ?? 0} /></td><td data-label="Out" class="num"><${Count} of=${row.output_tokens ?? 0} /></td><td class="num cost"><${Cost} row=${row} /></td></tr>`)}</tbody>
      <tfoot><tr><td class="strong">Total</td><td></td><td data-label="Requests" class="num">${whole(sum.calls)}</td><td data-label="In" class="num"><${Count} of=${sum.input_tokens ?? 0} /></td><td data-label="Out" class="num"><${Count} of=${sum.output_tokens ?? 0} /></td><td class="num cost"><${Cost} row=${sum} /></td></tr></tfoot></table></div>`)}<//><//>`;
}
