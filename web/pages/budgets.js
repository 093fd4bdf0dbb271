// Budgets and alerts: where each budget stands, what it does at its limit in words, the form that makes one,
// and what was told to whom.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, seesAll, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { costOf, picos, usd } from "../lib/money.js";
import { labelOf, now, scope } from "../lib/query.js";
import { dayIn, dayName, plus, until } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { changed, go, onwards, place } from "../lib/url.js";
import { Alerts } from "../parts/alerts.js";
import { BudgetBar, used } from "../parts/budget.js";
import { Channels } from "../parts/channels.js";
import { Dialog } from "../parts/dialog.js";
import { Empty, Failed, Name, Shown } from "../parts/small.js";

export const title = "Budgets & alerts";
/** @type {string[]} */
export const has = [];

const SCOPES = ["", "user", "project", "customer", "agent", "operation", "key", "model", "provider", "tag"];
const WINDOWS = /** @type {[string, string][]} */ ([["hour", "an hour"], ["day", "a day"], ["week", "a week"], ["month", "a month"], ["total", "in all"], ["rolling", "any … minutes"]]);
const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

export function Page() {
  const asked = useData(seesAll() ? "/api/v1/budgets" : null, live.pulse.value);
  const channels = useData(seesAll() ? "/api/v1/channels" : null);
  const { params } = place.value;
  const open = params.get("open");
  if (!seesAll()) return html`<${Empty} title="Budgets are for who sees everything: admins and viewers." />`;
  const budgets = [...(asked.data?.data ?? [])].sort((one, other) => used({ ...other, ...other.accounts?.[0] }) - used({ ...one, ...one.accounts?.[0] }));
  const shown = budgets.find(({ id }) => id === open);
  const close = () => go(changed({ open: null, new: null, user: null }));
  return html`${isAdmin() && html`<div class="toolbar"><span class="quiet">A budget holds for every call that it matches; all that match must agree.</span><span class="push"></span><a class="button main" href=${changed({ new: "1", open: null, alert: null })}>New budget</a></div>`}
  <${Shown} asked=${asked}>${() => (budgets.length === 0
    ? html`<${Empty} title="No budget yet."><p>A budget warns or blocks once a limit of dollars, tokens or calls is reached, for everything or for one user, key, team …</p><code>tollbook budget set tag.team=ops 200/month --block</code><//>`
    : html`<div class="budget-row">${budgets.map((budget) => html`<div class="budget-of" key=${budget.id}><${BudgetBar} budget=${budget} account=${budget.accounts?.[0]} href=${changed({ open: budget.id, new: null })} /><p class="words">${visible(budget.words)}</p></div>`)}</div>`)}<//>
  <${Alerts} /><${Channels} asked=${channels} />
  ${shown && html`<${Detail} budget=${shown} channels=${channels.data?.data ?? []} onClose=${close} again=${asked.again} />`}
  ${params.get("new") === "1" && isAdmin() && html`<${Form} channels=${channels.data?.data ?? []} onClose=${close} onDone=${() => { close(); asked.again(); }} />`}`;
}

/** @param {{budget: any, channels: any[], onClose: () => void, again: () => void}} props */
function Detail({ budget, channels, onClose, again }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const [sure, setSure] = useState(false);
  const base = `/api/v1/budgets/${encodeURIComponent(budget.id)}`;
  const act = (/** @type {Promise<any>} */ doing, /** @type {boolean} */ closes) => doing.then(() => { setError(null); again(); if (closes) onClose(); }, setError);
  const raise = (/** @type {any} */ event) => {
    event.preventDefault();
    const told = new FormData(event.target);
    const hours = Number(told.get("hours"));
    act(send("POST", `${base}/raise`, { body: { by: String(told.get("by")), until: new Date(Date.now() + hours * 3_600_000).toISOString(), reason: String(told.get("reason")) } }), false);
  };
  const isOurs = isAdmin() && budget.source !== "config";
  const filters = Object.entries(budget.match ?? {}).map(([key, value]) => `${key}:${value}`);
  return html`<${Dialog} kind="drawer" title=${html`<${Name} of=${budget.name} />`} onClose=${onClose}>
    <p class="sentence">${visible(budget.words)}</p>
    ${error && html`<${Failed} error=${error} />`}
    <div class="stack">${(budget.accounts ?? [null]).slice(0, 50).map((/** @type {any} */ account) => html`<${BudgetBar} budget=${budget} account=${account} />`)}</div>
    ${budget.notify?.length > 0 && html`<p>Tells ${budget.notify.map((/** @type {string} */ name) => html`<span class=${`badge ${budget.missing_channels?.includes(name) ? "warn" : ""}`}>${visible(name)}${budget.missing_channels?.includes(name) ? ": no such channel yet" : ""}</span> `)}</p>`}
    <p><a href=${onwards("/calls", { f: filters, range: budget.window === "day" ? "today" : "mtd", sort: "cost" })}>The calls behind it</a></p>
    ${budget.raises?.length > 0 && html`<h3>Raised</h3><ul>${budget.raises.map((/** @type {any} */ one) => html`<li>by ${visible(String(one.by ?? one.by_usd ?? ""))}, for ${until(Date.parse(one.until) - now.value)} more</li>`)}</ul>`}
    ${isOurs && html`<h3>Raise for a while</h3><form class="form" onSubmit=${raise}><div class="row"><label>By <input name="by" required inputmode="decimal" pattern="[0-9]+(\\.[0-9]+)?" placeholder="10.00" /></label>
      <label>For <select name="hours"><option value="4">4 hours</option><option value="24">a day</option><option value="168">a week</option></select></label><label class="wide">Reason <input name="reason" required maxlength="200" /></label></div>
      <div class="actions"><button class="main">Raise</button></div></form>
      <h3>Change it</h3><${Change} budget=${budget} channels=${channels} onSave=${(/** @type {any} */ body) => act(send("PATCH", base, { body }), false)} />
      <h3>Take it away</h3>${sure ? html`<div class="row"><button class="danger" onClick=${() => act(send("DELETE", base), true)}>Yes, take it away</button><button onClick=${() => setSure(false)}>Keep it</button></div>` : html`<button class="danger" onClick=${() => setSure(true)}>Take this budget away</button>`}`}
    ${budget.source === "config" && html`<p class="quiet">It stands in the configuration and is changed there.</p>`}<//>`;
}

/** @param {{budget: any, channels: any[], onSave: (body: any) => void}} props */
function Change({ budget, channels, onSave }) {
  const limit = ["limit_usd", "limit_tokens", "limit_calls"].find((one) => budget[one] !== undefined) ?? "limit_usd";
  const known = [...new Set([...channels.map(({ name }) => name), ...(budget.notify ?? [])])];
  const isPlain = ["warn", "block"].includes(budget.at_limit ?? "block");
  const save = (/** @type {any} */ event) => {
    event.preventDefault();
    const told = new FormData(event.target);
    const amount = String(told.get("limit"));
    onSave({ [limit]: limit === "limit_usd" ? amount : Number(amount), warn_at: percents(told.get("warn_at")), notify: told.getAll("notify"), ...(isPlain && { at_limit: told.get("at_limit") }) });
  };
  return html`<form class="form" onSubmit=${save}><div class="row"><label>Limit <input name="limit" required inputmode="decimal" pattern="[0-9]+(\\.[0-9]+)?" value=${budget[limit]} /></label>
    ${isPlain && html`<label>At the limit <select name="at_limit" value=${budget.at_limit ?? "block"}><option value="warn">warn only</option><option value="block">block</option></select></label>`}
    <label class="wide">Warn at percent <input name="warn_at" pattern="[0-9, ]*" value=${(budget.warn_at ?? [80, 90, 100]).join(", ")} /></label></div>
    ${known.length > 0 && html`<fieldset><legend>Tell</legend>${known.map((name) => html`<label class="check"><input type="checkbox" name="notify" value=${name} checked=${budget.notify?.includes(name)} /> <${Name} of=${name} /></label>`)}</fieldset>`}
    <div class="actions"><button class="main">Change</button></div></form>`;
}

const percents = (/** @type {any} */ text) => String(text).split(",").map((one) => Number(one.trim())).filter((one) => one > 0);

/** What the form will do, as a sentence. @param {any} of */
function sentence(of) {
  const amount = of.unit === "usd" ? `$${of.amount || "…"} is spent` : `${of.amount || "…"} ${of.unit} are used`;
  const windows = /** @type {Record<string, string>} */ ({ hour: "in a calendar hour", day: "in a calendar day", week: `in a week from ${of.first_day}`, month: Number(of.reset_day) > 1 ? `in a month from day ${of.reset_day}` : "in a calendar month", total: "in all", rolling: `in any ${of.minutes || "…"} minutes` });
  const what = of.scope === "" ? "all calls" : of.each ? `the calls of each ${of.key}, by itself,` : `all calls with ${labelOf(of.key).toLowerCase()} ${of.value || "…"}`;
  const act = /** @type {Record<string, string>} */ ({ block: "Blocks", warn: "Only warns, and stops nothing, about", throttle: "Slows down" })[of.at_limit] ?? "Warns about, or blocks,";
  return `${act} ${what} once ${amount} ${windows[of.window]}${["total", "rolling"].includes(of.window) ? "" : `, ${of.time_zone}`}.`;
}

/** @param {{channels: any[], onClose: () => void, onDone: () => void}} props */
function Form({ channels, onClose, onDone }) {
  const [of, setOf] = useState({ name: "", scope: "", tag: "", value: "", each: false, unit: "usd", amount: "", window: "month", minutes: "", first_day: "monday", reset_day: "1", time_zone: scope.value.tz, at_limit: "", mode: "strict", warn_at: "50, 80, 100", notify: /** @type {string[]} */ ([]) });
  const [error, setError] = useState(/** @type {any} */ (null));
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => setOf({ ...of, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const key = of.scope === "tag" ? `tag.${of.tag}` : of.scope;
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const limit = of.unit === "usd" ? { limit_usd: of.amount } : { [`limit_${of.unit}`]: Number(of.amount) };
    const body = { name: of.name || sentence({ ...of, key }).slice(0, 60), ...limit, window: of.window, at_limit: of.at_limit, warn_at: percents(of.warn_at),
      ...(key && (of.each ? { each: key } : { match: { [key]: of.value } })), ...(of.window === "rolling" ? { minutes: Number(of.minutes) } : of.window === "total" ? {} : { time_zone: of.time_zone }),
      ...(of.window === "week" && { first_day: of.first_day }), ...(of.window === "month" && Number(of.reset_day) > 1 && { reset_day: Number(of.reset_day) }), ...(of.at_limit === "block" && { mode: of.mode }), ...(of.notify.length > 0 && { notify: of.notify }) };
    await send("POST", "/api/v1/budgets", { body }).then(onDone, setError);
  };
  const radio = (/** @type {string} */ name, /** @type {string} */ value, /** @type {any} */ label) => html`<label class="check"><input type="radio" name=${name} value=${value} required checked=${/** @type {any} */ (of)[name] === value} onChange=${set(name)} /> <span>${label}</span></label>`;
  return html`<${Dialog} title="New budget" onClose=${onClose}><form class="form" onSubmit=${save}>
    <fieldset><legend>For</legend><div class="row"><label>Calls of <select value=${of.scope} onChange=${set("scope")}>${SCOPES.map((one) => html`<option value=${one}>${one === "" ? "everything" : one === "tag" ? "a tag …" : labelOf(one).toLowerCase()}</option>`)}</select></label>
      ${of.scope === "tag" && html`<label>Tag <input required value=${of.tag} placeholder="team" onInput=${set("tag")} /></label>`}
      ${of.scope && !of.each && html`<label class="wide">Which one <input required value=${of.value} onInput=${set("value")} /></label>`}</div>
      ${of.scope && html`<label class="check"><input type="checkbox" checked=${of.each} onChange=${set("each")} /> each one by itself</label>`}</fieldset>
    <div class="row"><label>Limit <input required inputmode="decimal" pattern="[0-9]+(\\.[0-9]+)?" value=${of.amount} placeholder="200.00" onInput=${set("amount")} data-testid="budget-amount" /></label>
      <label>of <select value=${of.unit} onChange=${set("unit")}><option value="usd">US dollars</option><option value="tokens">tokens</option><option value="calls">calls</option></select></label>
      <label>in <select value=${of.window} onChange=${set("window")}>${WINDOWS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select></label>
      ${of.window === "rolling" && html`<label>Minutes <input required inputmode="numeric" pattern="[0-9]+" value=${of.minutes} onInput=${set("minutes")} /></label>`}
      ${of.window === "week" && html`<label>from <select value=${of.first_day} onChange=${set("first_day")}>${DAYS.map((day) => html`<option value=${day}>${day}</option>`)}</select></label>`}
      ${of.window === "month" && html`<label>from day <input class="short" inputmode="numeric" pattern="[0-9]{1,2}" value=${of.reset_day} onInput=${set("reset_day")} /></label>`}
      ${!["rolling", "total"].includes(of.window) && html`<label>Zone <input required value=${of.time_zone} onInput=${set("time_zone")} /></label>`}</div>
    <fieldset><legend>When the limit is reached</legend>${radio("at_limit", "warn", "Warn only: calls go on")}${radio("at_limit", "block", "Block: further calls are refused")}
      ${of.at_limit === "block" && html`<div class="row">${radio("mode", "strict", "never above it, by holding what a call may cost")}${radio("mode", "expected", "by what calls cost; may overshoot by what is running")}</div>`}</fieldset>
    <div class="row"><label>Warn at percent <input value=${of.warn_at} pattern="[0-9, ]*" onInput=${set("warn_at")} /></label><label class="wide">Name <input value=${of.name} maxlength="100" placeholder="from what it does" onInput=${set("name")} /></label></div>
    ${channels.length > 0 && html`<fieldset><legend>Tell</legend><div class="row">${channels.map(({ name }) => html`<label class="check"><input type="checkbox" checked=${of.notify.includes(name)} onChange=${() => setOf({ ...of, notify: of.notify.includes(name) ? of.notify.filter((one) => one !== name) : [...of.notify, name] })} /> <${Name} of=${name} /></label>`)}</div></fieldset>`}
    <p class="sentence" aria-live="polite" data-testid="budget-sentence">${visible(sentence({ ...of, key }))}<${Pace} of=${of} scope=${key} /></p>
    ${error && html`<${Failed} error=${error} />`}
    <div class="actions"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Save</button></div></form><//>`;
}

/** When the limit is reached at this month's pace. @param {{of: any, scope: string}} props */
function Pace({ of, scope: key }) {
  const today = dayIn(now.value, of.time_zone && scope.value.tz);
  const first = `${today.slice(0, 8)}01`;
  const amount = of.unit === "usd" && of.window === "month" && !of.each ? picos(of.amount) : null;
  const pairs = /** @type {[string, string][]} */ ([["from", first], ["to", today], ...(key && of.value ? [[key, of.value]] : [])]);
  const asked = useData(amount !== null && (!key || of.value) ? at("/api/v1/usage", pairs) : null);
  const spent = asked.data ? costOf(asked.data.total) : null;
  if (amount === null || spent === null || spent === 0n) return null;
  const days = BigInt(Number(today.slice(8)));
  const needed = (amount * days + spent - 1n) / spent;
  const said = spent >= amount ? "It is used up already." : needed > 31n ? "At this month's pace it is not reached." : `At this month's pace: ${dayName(plus(first, Number(needed) - 1))}.`;
  return html`<span class="quiet"> So far ${usd(spent)}. ${said}</span>`;
}
