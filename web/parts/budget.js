// A budget as a bar: what is spent, held and left, and what happens at its limit, in words.
import { html } from "../lib/html.js";
import { picos, share, usd, whole } from "../lib/money.js";
import { now } from "../lib/query.js";
import { until } from "../lib/time.js";
import { Name } from "./small.js";

/** Where a budget or an account of it stands, in its own unit. @param {any} budget */
export function standing(budget) {
  const isMoney = budget.spent_usd !== undefined;
  const read = (/** @type {any} */ value) => (isMoney ? picos(value) ?? 0n : BigInt(value ?? 0));
  const [spent, held, left] = isMoney ? [budget.spent_usd, budget.held_usd, budget.left_usd].map(read) : [budget.spent, budget.held, budget.left].map(read);
  const unsettled = isMoney ? read(budget.unsettled_usd) : 0n;
  const counts = budget.mode === "strict" ? unsettled : 0n;
  const limit = isMoney ? picos(budget.limit) ?? 0n : BigInt(String(budget.limit).replace(/\D.*$/, "") || 0);
  const unit = budget.limit_tokens ? " tokens" : budget.limit_calls ? " calls" : "";
  const say = (/** @type {bigint} */ amount) => (isMoney ? usd(amount) : `${whole(Number(amount))}${unit}`);
  return { spent: /** @type {bigint} */ (spent), held: /** @type {bigint} */ (held), left: /** @type {bigint} */ (left), unsettled, counts, limit, say };
}

/** How much of it is used, in thousandths, for order and colour. @param {any} budget */
export function used(budget) {
  const { spent, held, counts, limit } = standing(budget);
  return limit > 0n ? Number(((spent + held + counts) * 1000n) / limit) : 1000;
}

const ACTS = /** @type {Record<string, string>} */ ({ warn: "warns only", throttle: "slows down", downgrade: "takes a cheaper model", block: "blocks" });

/** @param {{budget: any, account?: any, href?: string}} props `account`: one value of `each` */
export function BudgetBar({ budget, account, href }) {
  const stands = account ?? budget;
  const { spent, held, left, unsettled, counts, limit, say } = standing({ ...budget, ...stands });
  const part = (/** @type {bigint} */ amount) => `${limit > 0n ? Math.min(100, Number((amount * 1000n) / limit) / 10) : 0}%`;
  const thousandths = used({ ...budget, ...stands });
  const isOver = left <= 0n;
  // A budget that does not say blocks.
  const effect = budget.at_limit ?? "block";
  const blocks = effect === "block";
  const kind = isOver ? "bad" : thousandths >= 800 ? "warn" : "";
  const resets = stands.resets_at ? `resets in ${until(Date.parse(stands.resets_at) - now.value)}` : "never resets";
  const said = isOver ? (blocks ? "Used up: calls are blocked" : "Over its limit") : `${say(left)} left`;
  const name = html`<${Name} of=${budget.name} />${account && html` · <${Name} of=${account.value} />`}`;
  return html`<div class=${`budget ${kind}`}>
    <div class="budget-line"><span class="budget-name">${href ? html`<a href=${href}>${name}</a>` : name}</span>
      <span class="num">${say(spent)} <span class="quiet">of ${say(limit)}</span></span></div>
    <div class="track" role="meter" aria-label=${`Budget ${budget.name}`} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.min(100, Math.round(thousandths / 10))} aria-valuetext=${`${share(spent, limit)} used, ${said}`}>
      <i class="spent" style=${{ width: limit > 0n ? part(spent) : "100%" }}></i><i class="held" style=${{ width: part(held + counts) }}></i></div>
    <div class="budget-line quiet"><span><strong>${said}</strong>${held > 0n && ` · ${say(held)} held`}${unsettled > 0n && ` · up to ${say(unsettled)} unknown`}${stands.refused_calls > 0 && ` · ${whole(stands.refused_calls)} ${stands.refused_calls === 1 ? "call" : "calls"} refused`}</span>
      <span>${ACTS[effect] ?? effect} · ${resets}</span></div>
  </div>`;
}
