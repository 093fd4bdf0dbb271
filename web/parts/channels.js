// Channels: whom alerts reach, a message to try each, and the form that makes one.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { isAdmin, send } from "../lib/api.js";
import { visible } from "../lib/text.js";
import { changed, go, place } from "../lib/url.js";
import { Dialog } from "./dialog.js";
import { Card, Empty, Failed, Name, Shown, Snippet } from "./small.js";

/** @typedef {import("../lib/api.js").Shapes["Channel"]} Channel */

const KINDS = /** @type {[string, string][]} */ ([["webhook", "a webhook"], ["slack", "Slack"], ["email", "e-mail"], ["log", "the server's log"]]);

/** @param {{asked: import("../lib/api.js").Asked}} props */
export function Channels({ asked }) {
  return html`<${Card} title="Channels" tools=${isAdmin() && html`<a class="button" href=${changed({ new: "channel", open: null, alert: null })}>New channel</a>`}>
    <${Shown} asked=${asked} rows=${2}>${(/** @type {any} */ { data }) => (data.length === 0
      ? html`<${Empty} title="No channel yet."><p>A channel takes alerts to where people look: a webhook, Slack, e-mail, the log.</p><//>`
      : html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">To</th><th scope="col">From</th><th scope="col"><span class="sr">Acts</span></th></tr></thead>
        <tbody>${data.map((/** @type {Channel} */ channel) => html`<${Row} key=${channel.name} channel=${channel} again=${asked.again} />`)}</tbody></table></div>`)}<//><//>
  ${place.value.params.get("new") === "channel" && isAdmin() && html`<${Form} onClose=${() => { go(changed({ new: null })); asked.again(); }} />`}`;
}

/** @param {{channel: Channel, again: () => void}} props */
function Row({ channel, again }) {
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [sure, setSure] = useState(false);
  const base = `/api/v1/channels/${encodeURIComponent(channel.name)}`;
  const refused = (/** @type {Error} */ error) => setSaid({ delivered: false, error: error.message });
  const test = () => { setSaid("sending"); send("POST", `${base}/test`).then(setSaid, refused); };
  const remove = () => send("DELETE", base).then(again, refused);
  const answer = said === "sending" ? html`<span class="quiet">sending …</span>` : said && html`<span class=${`badge ${said.delivered ? "ok" : "bad"}`}>${said.delivered ? "delivered" : visible(said.error ?? "not delivered")}</span>`;
  return html`<tr><td class="strong"><${Name} of=${channel.name} /></td><td data-label="Kind">${channel.kind}</td><td data-label="To">${channel.target && html`<bdi>${visible(channel.target)}</bdi>`}</td><td data-label="From">${channel.source === "config" ? "the configuration" : "the API"}</td>
    <td>${isAdmin() && html`<span class="tools"><button onClick=${test} aria-label=${`Send a test message to ${channel.name}`}>Test</button><span aria-live="polite">${answer}</span>
      ${channel.source !== "config" && (sure ? html`<button class="danger" onClick=${remove}>Yes, take it away</button><button onClick=${() => setSure(false)}>Keep it</button>` : html`<button class="plain" onClick=${() => setSure(true)} aria-label=${`Take ${channel.name} away`}>✕</button>`)}</span>`}</td></tr>`;
}

/** @param {{onClose: () => void}} props */
function Form({ onClose }) {
  const [of, setOf] = useState({ name: "", kind: "webhook", url: "", to: "", from: "", smtp_host: "", smtp_port: "", smtp_tls: "starttls", smtp_user: "", smtp_password: "", allow_private: false });
  const [made, setMade] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => setOf({ ...of, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    const { name, kind, allow_private } = of;
    const mail = { to: of.to.split(",").map((one) => one.trim()).filter(Boolean), from: of.from, smtp_host: of.smtp_host, smtp_tls: of.smtp_tls, ...(of.smtp_port && { smtp_port: Number(of.smtp_port) }), ...(of.smtp_user && { smtp_user: of.smtp_user, smtp_password: of.smtp_password }) };
    const body = { name, kind, ...(allow_private && { allow_private }), ...(kind === "email" ? mail : kind === "log" ? {} : { url: of.url }) };
    send("POST", "/api/v1/channels", { body }).then((answer) => (answer.secret ? setMade(answer) : onClose()), setError);
  };
  const input = (/** @type {string} */ name, /** @type {string} */ label, /** @type {any} */ more = {}) => html`<label class="wide">${label} <input required value=${/** @type {any} */ (of)[name]} onInput=${set(name)} ...${more} /></label>`;
  return html`<${Dialog} title="New channel" onClose=${onClose}>${made ? html`<div class="form"><p class="notice">Messages are signed with this, by the rules of Standard Webhooks. It is shown only now.</p><${Snippet} text=${made.secret} id="channel-secret" /><div class="actions"><button class="main" onClick=${onClose}>Done</button></div></div>`
    : html`<form class="form" onSubmit=${save}><div class="row">${input("name", "Name", { pattern: "[A-Za-z0-9._\\-]+", maxlength: "64", placeholder: "ops", title: "letters, digits, - _ ." })}
      <label>To <select value=${of.kind} onChange=${set("kind")}>${KINDS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select></label></div>
      ${["webhook", "slack"].includes(of.kind) && input("url", of.kind === "slack" ? "Address of the incoming webhook" : "Address", { type: "url", placeholder: "https://" })}
      ${of.kind === "email" && html`<div class="row">${input("to", "To, separated by commas")}${input("from", "From")}</div>
        <div class="row">${input("smtp_host", "Mail server")}${input("smtp_port", "Port", { required: false, inputmode: "numeric", pattern: "[0-9]{1,5}", placeholder: "by its TLS" })}<label>TLS <select value=${of.smtp_tls} onChange=${set("smtp_tls")}><option value="starttls">STARTTLS</option><option value="implicit">from the start</option><option value="none">none</option></select></label></div>
        <div class="row">${input("smtp_user", "User", { required: false, autocomplete: "off" })}${input("smtp_password", "Password", { required: false, type: "password", autocomplete: "new-password" })}</div>`}
      ${of.kind !== "log" && html`<label class="check"><input type="checkbox" checked=${of.allow_private} onChange=${set("allow_private")} /> It is on this machine or in a network of our own</label>`}
      ${error && html`<${Failed} error=${error} />`}<div class="actions"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Save</button></div></form>`}<//>`;
}
