// What was told: alerts that hold and those that are over, whom they reached, and who has seen to them.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { now, scope } from "../lib/query.js";
import { picos, whole } from "../lib/money.js";
import { ago, exact, instant } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { changed, go, place } from "../lib/url.js";
import { Dialog } from "./dialog.js";
import { Card, Empty, Failed, Name, Shown, Usd } from "./small.js";

/** @typedef {import("../lib/api.js").Shapes["Alert"]} Alert */

const KINDS = /** @type {Record<string, string>} */ ({ critical: "bad", warning: "warn", info: "" });

/** @param {{alert: Alert}} props */
const State = ({ alert }) => (alert.state === "resolved" ? html`<span class="badge">over</span>`
  : html`<span class=${`badge ${alert.acknowledged_at ? "" : KINDS[alert.severity]}`}>${alert.acknowledged_at ? "seen to" : alert.severity}</span>`);

/** Who was reached, in a few words. @param {{alert: Alert}} props */
function Reached({ alert }) {
  const told = alert.deliveries.filter(({ tells }) => tells === "firing");
  if (told.length === 0) return html`<span class="quiet">nobody</span>`;
  return html`${told.map(({ channel, state }) => html`<span class=${`badge ${state === "delivered" ? "ok" : state === "failed" ? "bad" : "warn"}`}>${visible(channel)} ${state}</span> `)}`;
}

export function Alerts() {
  const { params } = place.value;
  const [cursor, isAll] = [params.get("alerts"), params.get("over") === "1"];
  const pairs = /** @type {[string, string][]} */ ([["limit", "20"], ...(isAll ? [] : [["state", "firing"]]), ...(cursor ? [["cursor", cursor]] : [])]);
  const asked = useData(at("/api/v1/alerts", pairs), live.pulse.value);
  const time = (/** @type {string} */ instantOf) => html`<span title=${exact(instantOf, scope.value.tz)}>${instant(instantOf, scope.value.tz)}</span>`;
  return html`<${Card} title="Alerts" tools=${html`<a href=${changed({ over: isAll ? null : "1", alerts: null })}>${isAll ? "Only those that hold" : "Those that are over, too"}</a>`}>
    <${Shown} asked=${asked}>${(/** @type {any} */ { data, has_more: more, next_cursor: next }) => (data.length === 0
      ? html`<${Empty} title=${isAll ? "Nothing was told yet." : "Nothing to see to."}><p>Budgets tell of their thresholds, rules of what is unusual; summaries stand among those that are over.</p><//>`
      : html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">What</th><th scope="col">State</th><th scope="col">Since</th><th scope="col">Told</th></tr></thead>
        <tbody>${data.map((/** @type {Alert} */ alert) => html`<tr key=${alert.id}><td class="strong"><a data-row href=${changed({ alert: alert.id, open: null, new: null })}>${visible(alert.summary)}</a></td>
          <td data-label="State"><${State} alert=${alert} /></td><td data-label="Since">${time(alert.at)}</td><td data-label="Told"><${Reached} alert=${alert} /></td></tr>`)}</tbody></table></div>
        ${(cursor || more) && html`<p class="pager hint">${cursor && html`<a class="button" href=${changed({ alerts: null })}>Latest</a>`}${more && html`<a class="button" href=${changed({ alerts: next })}>Older</a>`}</p>`}`)}<//><//>
  ${params.get("alert") && html`<${One} id=${params.get("alert")} again=${asked.again} />`}`;
}

/** One of them, on whichever page it stands. @param {{id: string, again: () => void}} props */
function One({ id, again }) {
  const asked = useData(`/api/v1/alerts/${encodeURIComponent(id)}`, live.pulse.value);
  const title = asked.data ? html`<${Name} of=${asked.data.subject} />` : "Alert";
  return html`<${Dialog} kind="drawer" title=${title} onClose=${() => go(changed({ alert: null }))}><${Shown} asked=${asked}>${(/** @type {Alert} */ alert) => html`<${Detail} alert=${alert} again=${() => { asked.again(); again(); }} />`}<//><//>`;
}

const USED = /** @type {const} */ ([["cost_usd", "Cost"], ["calls", "Calls"], ["total_tokens", "Tokens"], ["users", "Users"], ["errors", "Failed"], ["unpriced_calls", "Without a price"]]);

/** What was used in a period. @param {{of: import("../lib/api.js").Shapes["Summary"]}} props */
function Report({ of }) {
  const { used, before } = of;
  const cost = (/** @type {string} */ amount) => html`<${Usd} of=${picos(amount)} />`;
  const said = (/** @type {any} */ value) => (typeof value === "string" ? cost(value) : whole(value));
  return html`<h3>Used</h3><table class="data formula"><thead><tr><th scope="col">From ${exact(of.from, of.tz)} to ${exact(of.to, of.tz)}</th><th scope="col" class="num">This ${of.every}</th><th scope="col" class="num">Before</th></tr></thead>
    <tbody>${USED.map(([key, label]) => html`<tr><td class="strong">${label}</td><td class="num">${said(used[key])}</td><td class="num quiet">${said(before[key])}</td></tr>`)}</tbody></table>
    ${of.top.map((top) => html`<h3>The dearest by ${top.by.replaceAll("_", " ")}</h3><table class="data formula"><tbody>${top.rows.map((row) => html`<tr><td class="strong"><${Name} of=${row.value} /></td><td class="num">${whole(row.calls)} calls</td><td class="num cost">${cost(row.cost_usd)}</td></tr>`)}
      ${top.others > 0 && html`<tr><td class="quiet">${whole(top.others)} others</td><td></td><td class="num cost">${cost(top.others_cost_usd)}</td></tr>`}</tbody></table>`)}`;
}

/** @param {{alert: Alert, again: () => void}} props */
function Detail({ alert, again }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const acknowledge = () => send("POST", `/api/v1/alerts/${encodeURIComponent(alert.id)}/ack`).then(() => { setError(null); again(); }, setError);
  const { tz } = scope.value;
  const when = (/** @type {string} */ of) => html`${exact(of, tz)} <span class="quiet">${ago(now.value - Date.parse(of))}</span>`;
  const unit = alert.unit === "usd" ? "USD" : alert.unit;
  return html`<p class="sentence">${visible(alert.summary)}</p>${error && html`<${Failed} error=${error} />`}
    <dl class="pairs"><dt>State</dt><dd><${State} alert=${alert} /></dd>${!alert.report && html`<dt>Measured</dt><dd class="num">${visible(alert.value)} ${alert.limit !== "0" && `of ${visible(alert.limit)} `}${visible(unit)}</dd>`}<dt>Rule</dt><dd><code>${visible(alert.rule)}</code>${alert.threshold !== "0" && `, ${visible(alert.threshold)}`}</dd>
      <dt>Since</dt><dd>${when(alert.at)}</dd>${alert.until && html`<dt>Its period ends</dt><dd>${exact(alert.until, tz)}</dd>`}${alert.resolved_at && html`<dt>Over since</dt><dd>${when(alert.resolved_at)}</dd>`}
      ${alert.acknowledged_at && html`<dt>Seen to</dt><dd>${when(alert.acknowledged_at)}</dd>`}<dt>id</dt><dd><code>${visible(alert.id)}</code></dd></dl>
    ${alert.report && html`<${Report} of=${alert.report} />`}
    <h3>Told</h3>${alert.deliveries.length === 0 ? html`<p class="quiet">No channel is named for it: it stands here, in the log and on this page.</p>`
      : html`<ol>${alert.deliveries.map((one) => html`<li><${Name} of=${one.channel} /> · ${one.tells === "firing" ? "that it holds" : "that it is over"} · <span class=${`badge ${one.state === "delivered" ? "ok" : one.state === "failed" ? "bad" : "warn"}`}>${one.state}</span>
        <span class="quiet">${one.state === "pending" ? "next try" : ""} ${exact(one.at, tz)}${one.attempts > 1 ? `, ${one.attempts} attempts` : ""}</span>${one.error && html`<div class="notice">${visible(one.error)}</div>`}</li>`)}</ol>`}
    ${isAdmin() && alert.state === "firing" && !alert.acknowledged_at && html`<p class="actions"><button class="main" onClick=${acknowledge}>I see to it</button></p>`}`;
}
