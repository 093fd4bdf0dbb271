// What can be measured of calls: how it is read from a row of sums, and how it is shown.
import { costOf, decimal, duration, picos, short, usd, whole } from "./money.js";

/**
 * `isSum`: parts add up to the whole, so it may be stacked. `of` reads it from a row, null where there is none.
 * @typedef {{label: string, unit: string, isSum: boolean, isStats?: boolean, of: (row: any) => bigint | number | null,
 *   format: (value: any) => string, exact: (value: any) => string, axis: (value: number) => string}} Metric
 */

const money = { unit: "US dollars", format: usd, exact: (/** @type {any} */ value) => (value === null ? "" : decimal(value)), axis: dollars };
const count = { format: whole, exact: (/** @type {any} */ value) => String(value ?? ""), axis: short };
const time = { unit: "milliseconds", isSum: false, format: duration, exact: (/** @type {any} */ value) => String(value ?? ""), axis: duration };

/** @param {string} name @returns {Metric} */
const tokens = (name, label = "") => ({ ...count, label, unit: "tokens", isSum: true, of: (row) => row[name] ?? 0 });

/** A step of an axis in dollars. @param {number} value */
function dollars(value) {
  if (value >= 1_000) return `$${short(value)}`;
  return value === 0 ? "$0" : `$${Number(value.toPrecision(3))}`;
}

/** @type {Record<string, Metric>} */
export const METRICS = {
  cost: { ...money, label: "Cost", isSum: true, of: costOf },
  calls: { ...count, label: "Calls", unit: "calls", isSum: true, of: (row) => row.calls },
  tokens: tokens("total_tokens", "Tokens"),
  input: tokens("input_tokens", "Tokens in"),
  cached: tokens("cache_read_tokens", "Tokens from cache"),
  output: tokens("output_tokens", "Tokens out"),
  reasoning: tokens("reasoning_tokens", "Tokens of reasoning"),
  errors: { ...count, label: "Errors", unit: "calls", isSum: true, of: (row) => row.errors },
  cache_hits: { ...count, label: "Cache hits", unit: "calls", isSum: true, of: (row) => row.cache_hits },
  cost_per_call: { ...money, label: "Cost a call", isSum: false, isStats: true, of: (row) => picos(row.cost_avg_usd) },
  cost_per_1k: { ...money, label: "Cost of 1,000 tokens", isSum: false, isStats: true, of: (row) => picos(row.cost_per_1k_tokens_usd) },
  latency_p50: { ...time, label: "Latency, median", isStats: true, of: (row) => row.latency_ms?.p50 ?? null },
  latency_p95: { ...time, label: "Latency, 95 %", isStats: true, of: (row) => row.latency_ms?.p95 ?? null },
  first_token_p95: { ...time, label: "First token, 95 %", isStats: true, of: (row) => row.time_to_first_token_ms?.p95 ?? null },
};
