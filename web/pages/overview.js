// What people look at every morning: is it within budget, what was spent, on what, by whom, what changed, and the calls behind it.
import { useEffect } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, me, seesAll, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { METRICS } from "../lib/metrics.js";
import { costOf, picos, share, short, usd, whole } from "../lib/money.js";
import { keyNames, learnNames, nameOf } from "../lib/names.js";
import { DIMENSIONS, isOpen, labelOf, now, scope, scopePairs } from "../lib/query.js";
import { TOP, useSeries } from "../lib/series.js";
import { dayIn, daysOf, plus, plusMonths, zoneName } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { changed, go, onwards, place } from "../lib/url.js";
import { Bars } from "../parts/bars.js";
import { BudgetBar, used } from "../parts/budget.js";
import { CallTable } from "../parts/calls.js";
import { Chart, Legend, Spark } from "../parts/chart.js";
import { Card, Cost, Delta, Empty, Failed, Name, Shown } from "../parts/small.js";

export const title = "Overview";
export const has = ["range", "compare", "filters"];

const BUDGETS_SHOWN = 4;
const CALLS_SHOWN = 8;
const cost = /** @type {import("../lib/metrics.js").Metric} */ (METRICS.cost);

export function Page() {
  const pulse = live.pulse.value;
  const ever = useData("/api/v1/calls?limit=1", pulse);
  useEffect(() => { learnNames(); }, []);
  useEffect(() => {
    if (ever.data?.data.length === 0 && isAdmin()) go("/welcome", { replace: true });
  }, [ever.data]);
  return html`<${Budgets} pulse=${pulse} /><${Tiles} pulse=${pulse} /><${Spend} pulse=${pulse} /><${Notices} pulse=${pulse} />
    <div class="three"><${Top} by="model" title="Models" pulse=${pulse} />
      ${me.value?.user && !isAdmin() ? html`<${Top} by="operation" title="Operations" pulse=${pulse} />` : html`<${Top} by="user" title="Users" pulse=${pulse} />`}
      <${Third} pulse=${pulse} /></div>
    <div class="two"><${Changes} pulse=${pulse} /><${Latest} pulse=${pulse} /></div>`;
}

/** @param {{pulse: number}} props */
function Budgets({ pulse }) {
  const asked = useData(seesAll() ? "/api/v1/budgets" : null, pulse);
  if (!seesAll()) return null;
  const worst = (/** @type {any} */ budget) => budget.accounts?.[0];
  const order = (/** @type {any} */ budget) => used({ ...budget, ...worst(budget) });
  return html`<section class="budgets" aria-label="Budgets"><${Shown} asked=${asked} rows=${1}>${(/** @type {any} */ { data }) => (data.length === 0
    ? html`<p class="hint">No budget yet: nothing warns, nothing blocks. <a href="/budgets?new=1">Set a budget</a></p>`
    : html`<div class="budget-row">${[...data].sort((one, other) => order(other) - order(one)).slice(0, BUDGETS_SHOWN).map((budget) => html`<${BudgetBar} budget=${budget} account=${worst(budget)} href=${`/budgets?open=${encodeURIComponent(budget.id)}`} />`)}
      ${data.length > BUDGETS_SHOWN && html`<a class="more" href="/budgets">All ${data.length} budgets</a>`}</div>`)}<//></section>`;
}

/** @param {{pulse: number}} props */
function Tiles({ pulse }) {
  const { tz, range, pairs } = scope.value;
  const today = dayIn(now.value, tz);
  const first = `${today.slice(0, 8)}01`;
  const usage = (/** @type {string} */ from, /** @type {string} */ to, /** @type {string} */ interval) => at("/api/v1/usage", [["from", from], ["to", to], ["interval", interval], ...pairs]);
  const month = useData(usage(first, today, "day"), pulse);
  const last = useData(usage(plusMonths(first, -1), plusMonths(today, -1), "none"), pulse);
  const days = useData(usage(plus(today, -1), today, "hour"), pulse);
  const inRange = useData(at("/api/v1/usage", [...scopePairs(), ["interval", range.interval]]), pulse);
  const before = useData(range.previous ? at("/api/v1/usage", scopePairs(range.previous)) : null, pulse);
  const failed = [month, last, days, inRange, before].find(({ error }) => error);
  if (failed?.error && !month.data) return html`<${Failed} error=${failed.error} again=${failed.again} />`;

  const rowsOf = (/** @type {any} */ asked) => asked.data?.rows ?? [];
  const hours = rowsOf(days).map((/** @type {any} */ row) => ({ row, isToday: dayIn(Date.parse(row.bucket), tz) === today }));
  const sum = (/** @type {boolean} */ isToday) => hours.reduce((/** @type {bigint | null} */ all, /** @type {any} */ one) => (one.isToday !== isToday || costOf(one.row) === null ? all : (all ?? 0n) + /** @type {bigint} */ (costOf(one.row))), hours.some((/** @type {any} */ one) => one.isToday === isToday && one.row.calls > 0) ? null : 0n);
  const mtd = month.data ? costOf(month.data.total) : null;
  // The month's pace: what it cost so far, over the part of the month that has passed.
  const monthDays = daysOf(first, plus(plusMonths(first, 1), -1));
  const start = month.data ? Date.parse(month.data.from) : 0;
  const passed = BigInt(Math.max(1, Math.round((now.value - start) / 60_000)));
  const projected = mtd === null || !month.data ? null : (mtd * BigInt(monthDays * 1440)) / passed;
  const pace = `Cost of this month so far, times ${monthDays} days over ${(Number(passed) / 1440).toFixed(1)} days passed, in ${tz}`;
  const total = inRange.data?.total;
  const sparkOf = (/** @type {any} */ asked, /** @type {(row: any) => any} */ of) => rowsOf(asked).map(of);
  const cached = total ? [total.cache_read_tokens ?? 0, total.input_tokens ?? 0] : [0, 0];
  const within = { range: range.name };
  return html`<div class="tiles" data-testid="tiles">
    <${Tile} name="Today" href=${onwards("/explore", { range: "today" })} is=${days.data && (sum(true) === null ? "unpriced" : usd(sum(true)))} id="today" exact=${sum(true)} spark=${hours.filter((/** @type {any} */ one) => one.isToday).map((/** @type {any} */ one) => costOf(one.row))}>${days.data && html`yesterday ${usd(sum(false))}`}<//>
    <${Tile} name="This month" href=${onwards("/explore", { range: "mtd" })} is=${month.data && usd(mtd)} id="mtd" exact=${mtd} spark=${sparkOf(month, costOf)}><${Delta} now=${mtd} before=${last.data ? costOf(last.data.total) : null} isGood="less" /> ${last.data && html`<span>last month by then ${usd(costOf(last.data.total))}</span>`}<//>
    <${Tile} name="Projected month end" href=${onwards("/explore", { range: "mtd" })} is=${month.data && (projected === null ? "–" : `≈ ${usd(projected)}`)} about=${pace} spark=${[]}>at the month's pace<//>
    <${Tile} name="Calls" href=${onwards("/calls", within)} is=${total && short(total.calls)} about=${total && whole(total.calls)} spark=${sparkOf(inRange, (row) => row.calls)}><${Delta} now=${total?.calls ?? null} before=${before.data?.total.calls ?? null} /> ${range.label.toLowerCase()}<//>
    <${Tile} name="Errors" href=${onwards("/explore", { ...within, metric: "errors", by: "status" })} is=${total && (total.calls ? share(total.errors, total.calls) : "–")} about=${total && `${whole(total.errors)} of ${whole(total.calls)} calls`} spark=${sparkOf(inRange, (row) => row.errors)} kind="bad"><${Delta} now=${total?.errors ?? null} before=${before.data?.total.errors ?? null} isGood="less" /> ${total && `${whole(total.errors)} ${total.errors === 1 ? "call" : "calls"}`}<//>
    <${Tile} name="Input from cache" href=${onwards("/explore", { ...within, metric: "cached" })} is=${total && (cached[1] ? share(cached[0], cached[1]) : "–")} about="Tokens of input that the provider read from its cache" spark=${sparkOf(inRange, (row) => row.cache_read_tokens ?? 0)}>${total && total.saved_usd !== "0" ? html`answers from cache saved ${usd(picos(total.saved_usd))}` : total && `${short(cached[0])} tokens`}<//>
  </div>`;
}

/** @param {{name: string, href: string, is: any, about?: string, spark: any[], children?: any, kind?: string, id?: string, exact?: bigint | null}} props */
const Tile = ({ name, href, is, about, spark, children, kind, id, exact }) => html`<a class="tile" href=${href} title=${about}>
  <span class="tile-name">${name}</span><span class="tile-is num" data-testid=${id && `tile-${id}`} data-exact=${exact === undefined || exact === null ? null : String(exact)}>${is || html`<i class="wait"></i>`}</span>
  <span class="tile-sub">${children}</span>${spark.length > 1 && html`<${Spark} values=${spark} kind=${kind} />`}</a>`;

/** @param {{pulse: number}} props */
function Spend({ pulse }) {
  const { tz } = scope.value;
  const found = useSeries({ by: "model", metric: cost, pulse });
  const pick = (/** @type {any} */ from, /** @type {any} */ to) => {
    go(onwards("/calls", { range: `${from.span.from}..${to.span.to}`, sort: "cost" }));
  };
  const sum = found.sum;
  return html`<${Card} title=${html`Cost by model <span class="card-sum" data-testid="total-cost" data-exact=${sum?.cost_usd}>${sum && html`<${Cost} row=${sum} />`}</span> ${sum && found.past && html`<${Delta} now=${costOf(sum)} before=${costOf(found.past)} isGood="less" />`}`}
    tools=${html`<a href=${onwards("/explore", { by: "model" })}>Explore</a>`}>
    <${Shown} asked=${found.asked} rows=${8}>${() => (sum.calls === 0
      ? html`<${Empty} title="No calls here."><p>${scope.value.filters.length ? html`No call in this range meets the filters. <a href=${changed({ f: null })}>Clear the filters</a>` : html`None between these days. <a href=${changed({ range: "365d" })}>Look at 12 months</a>`}</p><//>`
      : html`<${Chart} title="Cost by model" buckets=${found.list} series=${found.series} total=${found.total} before=${found.earlier} unit=${cost.unit} format=${usd} axis=${cost.axis} onPick=${pick}
          note=${`by ${found.interval} in ${zoneName(tz, now.value)} · drag to see the calls`} />
        <${Legend} series=${found.series} onPick=${(/** @type {any} */ one, /** @type {boolean} */ isNot) => go(changed({ f: [...place.value.params.getAll("f"), `${isNot ? "!" : ""}model:${one.name ?? ""}`] }))} />`)}<//><//>`;
}

/** @param {{by: string, title: any, pulse: number, tools?: any}} props */
function Top({ by, title, pulse, tools }) {
  const asked = useData(at("/api/v1/usage", [...scopePairs(), ["group_by", by], ["limit", String(TOP)]]), pulse);
  const names = keyNames.value;
  return html`<${Card} title=${title} tools=${tools ?? html`<a href=${onwards("/explore", { by })}>All</a>`}><${Shown} asked=${asked}>${(/** @type {any} */ data) => (data.rows.length === 0 ? html`<p class="hint">Nothing in this range.</p>`
    : html`<${Bars} whole=${costOf(data.total) ?? 0n} none=${`no ${by.replace("tag.", "")}`} format=${usd} bars=${data.rows.map((/** @type {any} */ row) => (row.rest
      ? { name: null, label: `${whole(row.rest)} others`, value: costOf(row) }
      : { name: by === "key" ? names[row.key] ?? row.key : nameOf(by, row[by]), value: costOf(row), href: onwards("/calls", { f: [...place.value.params.getAll("f"), `${by}:${row[by] ?? ""}`], sort: "cost" }) }))} />`)}<//><//>`;
}

/** A list by whatever one likes. @param {{pulse: number}} props */
function Third({ pulse }) {
  const by = place.value.params.get("third") ?? (me.value?.user && !isAdmin() ? "project" : "operation");
  const known = ["operation", "key", "project", "customer", "agent", "provider", "session", ...(by in DIMENSIONS ? [] : [by])];
  const choose = (/** @type {any} */ event) => go(changed({ third: event.target.value }), { replace: true });
  return html`<${Top} by=${by} pulse=${pulse} title=${html`<select aria-label="Dimension of this list" value=${by} onChange=${choose}>${known.map((name) => html`<option value=${name}>${labelOf(name)}s</option>`)}</select>`} />`;
}

/** @param {{pulse: number}} props */
function Changes({ pulse }) {
  const { range } = scope.value;
  const dimensions = isAdmin() || !me.value?.user ? ["user", "model"] : ["operation", "model"];
  const ask = (/** @type {any} */ span, /** @type {string} */ by) => (span ? at("/api/v1/usage", [...scopePairs(span), ["group_by", by], ["limit", "200"]]) : null);
  const asked = dimensions.map((by) => [useData(ask(range.span, by), pulse), useData(ask(range.previous, by), pulse)]);
  /** @type {{by: string, name: string | null, diff: bigint, was: bigint, is: bigint}[]} */
  const movers = [];
  asked.forEach(([is, was], nth) => {
    const by = /** @type {string} */ (dimensions[nth]);
    if (is?.data?.group_by[0] !== by || was?.data?.group_by[0] !== by) return;
    const past = /** @type {Map<any, bigint>} */ (new Map(was.data.rows.map((/** @type {any} */ row) => [row.rest ? "…" : row[by], costOf(row) ?? 0n])));
    for (const row of is.data.rows) {
      if (row.rest) continue;
      const [current, former] = [costOf(row) ?? 0n, past.get(row[by]) ?? 0n];
      past.delete(row[by]);
      if (current !== former) movers.push({ by, name: row[by], diff: current - former, is: current, was: former });
    }
    for (const [name, former] of past) if (name !== "…" && former > 0n) movers.push({ by, name, diff: -former, is: 0n, was: former });
  });
  const size = (/** @type {bigint} */ amount) => (amount < 0n ? -amount : amount);
  movers.sort((one, other) => (size(one.diff) < size(other.diff) ? 1 : -1));
  const shown = movers.slice(0, 5);
  const lead = shown.find(({ by, diff }) => by !== "model" && diff > 0n);
  const why = useData(lead ? at("/api/v1/usage", [...scopePairs().filter(([key]) => key !== lead.by), [lead.by, lead.name ?? ""], ["group_by", "model"], ["limit", "1"]]) : null, pulse);
  const first = why.data?.rows.find((/** @type {any} */ row) => !row.rest);
  const failed = asked.flat().find(({ error }) => error);
  const isThere = asked.flat().every(({ data }) => data);
  return html`<${Card} title="What changed"><${Shown} asked=${{ data: isThere || null, error: failed?.error ?? null, isLoading: asked.flat().some(({ isLoading }) => isLoading), again: () => asked.flat().forEach(({ again }) => again()) }}>${() => (shown.length === 0
    ? html`<p class="hint">Nothing moved against the ${range.previous ? "period before" : "past"}.</p>`
    : html`<ul class="changes">${shown.map((mover) => html`<li><a href=${onwards("/calls", { f: [...place.value.params.getAll("f"), `${mover.by}:${mover.name ?? ""}`], sort: "cost" })}>
        <span><span class="quiet">${labelOf(mover.by)}</span> <strong><${Name} of=${mover.name} /></strong>${mover === lead && first && why.data && html`<span class="quiet"> · ${share(costOf(first) ?? 0n, costOf(why.data.total) ?? 0n)} on <${Name} of=${first.model} /></span>`}</span>
        <span class=${`num ${mover.diff > 0n ? "up" : "down"}`}>${mover.diff > 0n ? "+" : "−"}${usd(size(mover.diff))}</span>
        <span class="quiet num">${mover.was === 0n ? "new" : mover.is === 0n ? "gone" : `${usd(mover.was)} → ${usd(mover.is)}`}</span></a></li>`)}</ul>`)}<//><//>`;
}

/** @param {{pulse: number}} props */
function Latest({ pulse }) {
  const asked = useData(at("/api/v1/calls", [...scopePairs(), ["limit", String(CALLS_SHOWN)]]), pulse);
  const heard = isOpen() ? live.calls.value : [];
  const { calls: running, more } = live.flights.value;
  return html`<${Card} title="Latest calls" tools=${html`<a href=${onwards("/calls")}>All</a>`}>
    ${running.length > 0 && html`<ul class="running" aria-label="Running now">${running.slice(0, 5).map((/** @type {any} */ one) => html`<li><i class="pulse" aria-hidden="true"></i><${Name} of=${one.model} /> <${Name} of=${one.user} none="no user" /> <span class="num">≈ ${whole(one.output_tokens_estimate)} tokens out</span></li>`)}${more + running.length > 5 && html`<li class="quiet">and ${whole(more + running.length - 5)} more</li>`}</ul>`}
    <${Shown} asked=${asked} rows=${CALLS_SHOWN}>${(/** @type {any} */ { data }) => {
      const key = (/** @type {any} */ call) => `${call.project} ${call.source} ${call.id}`;
      const fresh = new Set(heard.map(key));
      const calls = [...heard, ...data.filter((/** @type {any} */ call) => !fresh.has(key(call)))].sort((one, other) => (one.occurred_at < other.occurred_at ? 1 : -1)).slice(0, CALLS_SHOWN);
      return calls.length === 0 ? html`<p class="hint">No call meets this yet.</p>` : html`<${CallTable} calls=${calls} brief fresh=${new Set(heard.slice(0, 3).map((call) => call.id))} />`;
    }}<//><//>`;
}

/** @param {{pulse: number}} props */
function Notices({ pulse }) {
  const asked = useData(at("/api/v1/usage", scopePairs()), pulse);
  const ready = useData("/readyz", pulse);
  const alerts = useData(seesAll() ? at("/api/v1/alerts", [["state", "firing"], ["limit", "20"]]) : null, pulse);
  const total = asked.data?.total;
  /** @type {any[]} */
  const said = [];
  // Of several thresholds of a budget the highest says it all.
  const all = (alerts.data?.data ?? []).filter((/** @type {any} */ one) => !one.acknowledged_at);
  const open = all.filter((/** @type {any} */ one) => !all.some((/** @type {any} */ other) => other.rule === one.rule && other.subject === one.subject && Number(other.threshold) > Number(one.threshold)));
  open.slice(0, 3).forEach((/** @type {any} */ one) => said.push(html`<a href=${onwards("/budgets", { alert: one.id })}>${visible(one.summary)}</a>`));
  if (open.length > 3) said.push(html`<a href=${onwards("/budgets")}>All alerts: ${open.length}${alerts.data.has_more ? " and more" : ""}</a>`);
  if (total?.unpriced_calls) said.push(html`<a href="/prices">${whole(total.unpriced_calls)} calls have no price</a>: their cost is in no sum. Set one, and they can be rated again.`);
  if (total?.estimated_calls) said.push(html`${whole(total.estimated_calls)} calls are estimated (${share(total.estimated_calls, total.calls)}). <a href=${onwards("/calls", { f: [...place.value.params.getAll("f"), "evidence:estimated"] })}>Which</a>`);
  if (total?.unknown_calls) said.push(html`The usage of ${whole(total.unknown_calls)} calls is unknown. <a href=${onwards("/calls", { f: [...place.value.params.getAll("f"), "evidence:unknown"] })}>Which</a>`);
  if (ready.data && ready.data.status !== "ready") said.push(html`<strong>Storage is ${ready.data.status}.</strong> ${ready.data.reason ?? ""} <a href="/settings">Health</a>`);
  if (ready.error?.status === 503) said.push(html`<strong>Calls pass without a record.</strong> <a href="/settings">Health</a>`);
  return said.length === 0 ? null : html`<ul class="notices">${said.map((one) => html`<li>${one}</li>`)}</ul>`;
}
