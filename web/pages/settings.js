// What holds for the server and for this browser, whether all is well, who did what, and taking things out.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, me, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { whole } from "../lib/money.js";
import { now, scope } from "../lib/query.js";
import { ago, exact, instant, zoneName } from "../lib/time.js";
import { visible } from "../lib/text.js";
import { changed, place } from "../lib/url.js";
import * as keyboard from "../parts/keyboard.js";
import { Dialog } from "../parts/dialog.js";
import { Card, Empty, Failed, Name, Shown } from "../parts/small.js";
import { setTheme, theme } from "../parts/theme.js";

export const title = "Settings";
/** @type {string[]} */
export const has = [];

export function Page() {
  return html`<div class="two-even"><${You} /><${Health} /></div><${Way} />${isAdmin() && html`<${Audit} /><${Persons} />`}`;
}

function You() {
  const leave = async () => {
    await send("DELETE", "/api/v1/session").catch(() => null);
    live.end();
    me.value = null;
  };
  return html`<${Card} title="You"><dl class="pairs"><dt>Name</dt><dd><${Name} of=${me.value?.name} /></dd><dt>Role</dt><dd>${me.value?.role}</dd>${me.value?.user && html`<dt>User</dt><dd><${Name} of=${me.value.user} /></dd>`}
    <dt>Zone of the books</dt><dd>${zoneName(me.value?.time_zone ?? "UTC", now.value)} <span class="quiet">set by <code>[server] time_zone</code></span></dd>
    ${me.value?.expires_at && html`<dt>Signed in until</dt><dd>${instant(me.value.expires_at, scope.value.tz)}, or 12 hours of rest</dd>`}</dl>
    <h3>This browser</h3><div class="switches"><label class="check">Theme <select value=${theme.value} onChange=${(/** @type {any} */ event) => setTheme(event.target.value)}><option value="system">as the system</option><option value="light">light</option><option value="dark">dark</option></select></label>
    <label class="check"><input type="checkbox" checked=${keyboard.isOn.value} onChange=${() => keyboard.setOn(!keyboard.isOn.value)} /> <span>Single keys do something (<kbd>?</kbd> shows which)</span></label><button onClick=${leave}>Sign out</button></div><//>`;
}

function Health() {
  const asked = useData("/readyz", live.pulse.value);
  return html`<${Card} title="Health"><${Shown} asked=${asked}>${(/** @type {any} */ { status, records, store, journal, unrecorded, reason }) => html`<p><span class=${`badge ${status === "ready" ? "ok" : "bad"}`}>${status}</span> ${records ? "Calls are recorded." : "Calls pass without a record."} ${reason && visible(reason)}</p>
    <dl class="pairs"><dt>Store</dt><dd>${store.state}, ${store.behind === 0 ? "up to date" : `${whole(store.behind)} records behind`}</dd><dt>Records</dt><dd class="num">${whole(journal.recorded)}, ${whole(journal.durable)} of them surely on disk</dd>
    ${store.last_applied_at && html`<dt>Last record</dt><dd>${ago(now.value - Date.parse(store.last_applied_at))}</dd>`}<dt>Journal</dt><dd>${whole(Math.round(journal.room_bytes / 1048576))} MiB of room${journal.has_spare ? ", and a spare segment" : ""}</dd>
    ${unrecorded.calls > 0 && html`<dt>Not recorded</dt><dd>${whole(unrecorded.calls)} calls</dd>`}</dl><p class="quiet"><code>tollbook doctor</code> checks the set-up, <code>tollbook verify</code> every figure.</p>`}<//><//>`;
}

/** What is done on the command line, and how. */
const Way = () => html`<${Card} title="Keep, take along, look after"><dl class="pairs commands">
  <dt>Everything as a file</dt><dd><a download href=${at("/api/v1/export", [["format", "jsonl"]])}>all calls as JSON Lines</a> or <a download href=${at("/api/v1/export", [["format", "csv"]])}>CSV</a>; what is in a range: the export of <a href="/calls">Calls</a></dd>
  <dt>Backup</dt><dd><code>tollbook backup tollbook.backup</code>, also while it runs</dd>
  <dt>Retention</dt><dd><code>[store]</code> in the configuration; <code>tollbook retain</code> says what would go</dd>
  <dt>Metrics</dt><dd><code>GET /metrics</code> for Prometheus, with the key of a viewer</dd><dt>Program's view</dt><dd><a href="/openapi.json" target="_blank" rel="noopener">openapi.json</a></dd></dl><//>`;

function Audit() {
  const cursor = place.value.params.get("audit");
  const asked = useData(at("/api/v1/audit", [["limit", "20"], ...(cursor ? /** @type {[string, string][]} */ ([["cursor", cursor]]) : [])]));
  return html`<${Card} title="Who did what"><${Shown} asked=${asked}>${(/** @type {any} */ { data, has_more: more, next_cursor: next }) => (data.length === 0 ? html`<${Empty} title="Nothing yet."><p>Keys, members, budgets, corrections and what was taken out are written down here.</p><//>`
    : html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">Time</th><th scope="col">Act</th><th scope="col">On</th><th scope="col">By</th><th scope="col">From</th></tr></thead>
      <tbody>${data.map((/** @type {any} */ one) => html`<tr key=${one.id}><td data-label="Time" title=${exact(one.at, scope.value.tz)}>${instant(one.at, scope.value.tz)}</td><td class="strong">${one.act.replace(".", ": ").replaceAll("_", " ")}</td>
        <td data-label="On">${one.target_id && html`<code><${Name} of=${one.target_id} /></code>`}</td><td data-label="By">${one.actor_id ? html`<${Name} of=${one.actor_id} />` : one.actor}</td><td data-label="From">${one.from}</td></tr>`)}</tbody></table></div>
      ${(cursor || more) && html`<p class="pager hint">${cursor && html`<a class="button" href=${changed({ audit: null })}>Latest</a>`}${more && html`<a class="button" href=${changed({ audit: next })}>Older</a>`}</p>`}`)}<//><//>`;
}

function Persons() {
  const asked = useData("/api/v1/erasures");
  const [asks, setAsks] = useState(false);
  const [user, setUser] = useState("");
  const [reason, setReason] = useState("");
  const [again, setAgain] = useState("");
  const [done, setDone] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const erase = (/** @type {Event} */ event) => {
    event.preventDefault();
    send("POST", "/api/v1/erasures", { body: { user, reason } }).then((made) => { setDone(made); asked.again(); }, setError);
  };
  const close = () => { setAsks(false); setDone(null); setError(null); setAgain(""); };
  return html`<${Card} title="Persons" tools=${html`<button class="danger" onClick=${() => setAsks(true)}>Take a person out …</button>`}>
    <form class="row" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}><label class="inline">User <input value=${user} onInput=${(/** @type {any} */ event) => setUser(event.target.value)} /></label>
      ${user && html`<a class="button" download href=${`/api/v1/users/${encodeURIComponent(user)}/export`}>All that is held on them</a>`}</form>
    <${Shown} asked=${asked}>${(/** @type {any} */ { data }) => data.length > 0 && html`<h3>Taken out</h3><ul>${data.map((/** @type {any} */ one) => html`<li>${instant(one.at, scope.value.tz)} · now <code>${visible(one.pseudonym)}</code> · ${visible(one.reason)}</li>`)}</ul>`}<//>
    ${asks && html`<${Dialog} title="Take a person out" onClose=${close}>${done ? html`<div class="form"><p class="sentence">${whole(done.calls)} calls stand under <code>${visible(done.pseudonym)}</code> now; all sums are as they were. ${whole(done.keys)} keys ended.</p>${done.notes.map((/** @type {string} */ note) => html`<p>${visible(note)}</p>`)}<button onClick=${close}>Close</button></div>`
      : html`<form class="form" onSubmit=${erase}><p>Their calls so far stand under a pseudonym then, for good; sums stay exact. This cannot be undone.</p>
        <label>User <input required value=${user} onInput=${(/** @type {any} */ event) => setUser(event.target.value)} /></label><label>Reason <input required maxlength="200" value=${reason} onInput=${(/** @type {any} */ event) => setReason(event.target.value)} /></label><label>The user once more <input required value=${again} onInput=${(/** @type {any} */ event) => setAgain(event.target.value)} /></label>
        ${error && html`<${Failed} error=${error} />`}<div class="actions"><button type="button" onClick=${close}>Cancel</button><button class="danger" disabled=${!user || again !== user}>Take out</button></div></form>`}<//>`}<//>`;
}
