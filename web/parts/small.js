// The small things that every page shows: amounts, names, differences, and the states of what is not there.
import { useEffect, useState } from "preact/hooks";
import { Refused } from "../lib/api.js";
import { html } from "../lib/html.js";
import { costOf, decimal, share, short, usd, whole } from "../lib/money.js";
import { visible } from "../lib/text.js";

/** @typedef {import("preact").ComponentChildren} Children */

/** An amount; all its digits on hover. @param {{of: bigint | null | undefined, id?: string}} props */
export const Usd = ({ of, id }) => (of === null || of === undefined
  ? html`<span class="unpriced" title="No price matched: the cost is absent, not 0." data-testid=${id}>unpriced</span>`
  : html`<span class="num" title=${`$${decimal(of)}`} data-exact=${decimal(of)} data-testid=${id}>${usd(of)}</span>`);

/** The cost of a row of sums, with a word on calls that are not in it. @param {{row: any, id?: string}} props */
export function Cost({ row, id }) {
  const cost = costOf(row);
  const some = cost !== null && row.unpriced_calls > 0;
  return html`<${Usd} of=${cost} id=${id} />${some && html`<span class="mark" title=${`${whole(row.unpriced_calls)} calls without a price are not in it`}>+</span>`}`;
}

/** @param {{of: number | null | undefined, id?: string}} props */
export const Count = ({ of, id }) => html`<span class="num" title=${whole(of)} data-testid=${id}>${short(of)}</span>`;

/** A name that somebody chose; absent is said in words. @param {{of: string | null | undefined, none?: string}} props */
export const Name = ({ of, none = "none" }) => (of === null || of === undefined || of === ""
  ? html`<span class="none">(${none})</span>`
  : html`<bdi class="name" title=${visible(of)}>${visible(of)}</bdi>`);

/**
 * How much more or less than before.
 * @param {{now: bigint | number | null, before: bigint | number | null, isGood?: "less" | "more" | "neither"}} props
 */
export function Delta({ now, before, isGood = "neither" }) {
  if (now === null || before === null || now === undefined || before === undefined) return null;
  const [one, other] = [BigInt(now), BigInt(before)];
  if (other === 0n) return one === 0n ? null : html`<span class="delta">new</span>`;
  const by = one - other;
  const kind = by === 0n || isGood === "neither" ? "" : (by > 0n) === (isGood === "more") ? "good" : "bad";
  const times = by > 0n && one >= other * 10n;
  return html`<span class=${`delta ${kind}`} title="against the period before">${by > 0n ? "▲" : by < 0n ? "▼" : "="} ${times ? `×${one / other}` : share(by < 0n ? -by : by, other)}</span>`;
}

const BADGES = /** @type {Record<string, [string, string, string]>} */ ({
  override: ["own price", "", "Your own price, discount or markup"],
  provider: ["provider", "", "The bill that the provider reported"],
  book: ["computed", "", "Counted usage at the price book's price"],
  free: ["free", "", "Nothing was billable"],
  unpriced: ["unpriced", "warn", "No price matched: the cost is absent, not 0"],
  unknown_usage: ["unknown", "warn", "The usage is unknown: the cost is absent, not 0"],
  inconsistent: ["inconsistent", "warn", "The provider's figures contradict each other"],
});

/** Where a call's cost is from. @param {{call: import("../lib/api.js").Shapes["Call"]}} props */
export function Basis({ call }) {
  const estimated = call.evidence === "estimated" || call.evidence === "partial";
  const [word, kind, about] = estimated ? [call.evidence, "warn", "The usage is an estimate"] : BADGES[call.cost_basis] ?? [call.cost_basis, "", ""];
  return html`<span class=${`badge ${kind}`} title=${about}>${word}</span>`;
}

/** @param {{of: string}} props */
export const Status = ({ of }) => html`<span class=${`badge ${of === "ok" ? "ok" : "bad"}`}>${of.replaceAll("_", " ")}</span>`;

/** A place where something will be; it shows only when that takes a while. @param {{rows?: number}} props */
export const Loading = ({ rows = 4 }) => html`<div class="loading" role="status" aria-label="Loading">${Array.from({ length: rows }, () => html`<i></i>`)}</div>`;

/** @param {{error: Refused, again?: () => void}} props */
export const Failed = ({ error, again }) => html`<div class="state bad" role="alert">
  <strong>${error.message}</strong>
  ${error.errors?.map(({ pointer, detail }) => html`<div><code>${pointer}</code> ${detail}</div>`)}
  ${error.requestId && html`<div class="quiet">Request <code>${error.requestId}</code></div>`}
  ${again && html`<button onClick=${again}>Try again</button>`}
</div>`;

/** @param {{title: string, children?: Children}} props */
export const Empty = ({ title, children }) => html`<div class="state"><strong>${title}</strong>${children}</div>`;

/** What stands in for data until it is there. @param {{asked: import("../lib/api.js").Asked, rows?: number, children: (data: any) => Children}} props */
export function Shown({ asked, rows, children }) {
  if (asked.data) return html`<div class="shown" aria-busy=${asked.isLoading}>
    ${asked.error && html`<${Failed} error=${asked.error} again=${asked.again} />`}${children(asked.data)}</div>`;
  if (asked.error && !asked.isLoading) return html`<${Failed} error=${asked.error} again=${asked.again} />`;
  return html`<${Loading} rows=${rows} />`;
}

/** A button that copies. @param {{text: string, label?: string}} props */
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState("");
  useEffect(() => {
    const timer = done ? setTimeout(() => setDone(""), 1_500) : 0;
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone("Copied"), () => setDone("Not allowed: select it instead"));
  return html`<button class="copy" onClick=${copy} aria-live="polite">${done || label}</button>`;
}

/** Text to copy. @param {{text: string, id?: string}} props */
export const Snippet = ({ text, id }) => html`<div class="snippet"><pre tabindex="0" data-testid=${id}>${text}</pre><${Copy} text=${text} /></div>`;

/** A part of a page under its heading. @param {{title: Children, tools?: Children, children: Children, class?: string}} props */
export const Card = ({ title, tools, children, class: kind = "" }) => html`<section class=${`card ${kind}`}>
  <header><h2>${title}</h2>${tools && html`<div class="tools">${tools}</div>`}</header>${children}</section>`;
