// A list of calls: a table, which turns into cards where there is no room for one.
import { html } from "../lib/html.js";
import { duration, picos, short } from "../lib/money.js";
import { scope } from "../lib/query.js";
import { exact, instant } from "../lib/time.js";
import { onwards } from "../lib/url.js";
import { Basis, Name, Status, Usd } from "./small.js";

/** @typedef {import("../lib/api.js").Shapes["Call"]} Call */

/** Where a call is shown. @param {Call} call */
export const callAddress = (call, path = onwards) => {
  const more = /** @type {Record<string, string>} */ ({ ...(call.source !== "api" && { source: call.source }), ...(call.project && { project: call.project }) });
  return path(`/calls/${encodeURIComponent(call.id)}`, more);
};

/**
 * @param {{calls: Call[], brief?: boolean, fresh?: Set<string>, address?: (call: Call) => string}} props
 */
export function CallTable({ calls, brief = false, fresh, address = callAddress }) {
  const { tz } = scope.value;
  return html`<table class="data calls"><thead><tr><th scope="col">Time</th><th scope="col">Model</th><th scope="col">User</th>
    ${!brief && html`<th scope="col">Operation</th><th scope="col">Tags</th>`}
    <th scope="col" class="num">In</th>${!brief && html`<th scope="col" class="num">Cached</th>`}<th scope="col" class="num">Out</th><th scope="col" class="num">Cost</th>
    <th scope="col" class="num">Latency</th>${!brief && html`<th scope="col" class="num"><abbr title="Time to the first token">TTFT</abbr></th>`}<th scope="col">Status</th>${!brief && html`<th scope="col">Basis</th>`}</tr></thead>
  <tbody>${calls.map((call) => html`<tr key=${`${call.project} ${call.source} ${call.id}`} class=${fresh?.has(call.id) ? "fresh" : ""}>
    <td data-label="Time"><a data-row href=${address(call)} title=${exact(call.occurred_at, tz)}>${instant(call.occurred_at, tz)}</a></td>
    <td data-label="Model" class="strong"><${Name} of=${call.model} /></td><td data-label="User"><${Name} of=${call.user} none="no user" /></td>
    ${!brief && html`<td data-label="Operation">${call.operation ? html`<${Name} of=${call.operation} />` : ""}</td><td data-label="Tags">${Object.entries(call.tags ?? {}).map(([name, value]) => html`<span class="tag"><${Name} of=${name} />=<${Name} of=${value} /></span>`)}</td>`}
    <td data-label="In" class="num">${short(call.usage?.input_tokens)}</td>${!brief && html`<td data-label="Cached" class="num">${short(call.usage?.cache_read_tokens ?? null)}</td>`}
    <td data-label="Out" class="num">${short(call.usage?.output_tokens)}</td><td data-label="Cost" class="num cost"><${Usd} of=${picos(call.cost_usd)} /></td>
    <td data-label="Latency" class="num">${duration(call.latency_ms)}</td>${!brief && html`<td data-label="First token" class="num">${duration(call.time_to_first_token_ms)}</td>`}
    <td data-label="Status"><${Status} of=${call.status} /></td>${!brief && html`<td data-label="Basis"><${Basis} call=${call} /></td>`}</tr>`)}</tbody></table>`;
}
