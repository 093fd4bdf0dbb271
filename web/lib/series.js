// A question over time, split by one dimension: its rows, its series, its total, which agree to the last digit.
import { at, useData } from "./api.js";
import { now, scope, scopePairs } from "./query.js";
import { buckets, keyOf } from "./time.js";

/** Series that stand alone; the others are one. */
export const TOP = 7;
/** Rows of a table. */
const ROWS_MAX = 500;

/** @typedef {import("./metrics.js").Metric} Metric */

/** @param {any} one @param {any} other */
const plus = (one, other) => (one === null ? other : other === null ? one : typeof one === "bigint" ? one + BigInt(other) : one + other);
/** @param {any} one @param {any} other */
const minus = (one, other) => (one === null || other === null ? one : typeof one === "bigint" ? one - BigInt(other) : one - other);
/** @param {any} one @param {any} other */
const descending = (one, other) => (one === other ? 0 : one === null ? 1 : other === null ? -1 : one < other ? 1 : -1);

/**
 * @param {{by: string, metric: Metric, interval?: string | null, split?: string | null, pulse?: unknown, top?: number}} question
 */
export function useSeries({ by, metric, interval: told, split = null, pulse, top = TOP }) {
  const { range, tz, pairs, compares } = scope.value;
  const interval = told ?? range.interval;
  const path = metric.isStats ? "/api/v1/stats" : "/api/v1/usage";
  const timed = /** @type {[string, string]} */ (["interval", interval]);
  const groups = split && split !== by ? `${by},${split}` : by;
  const tableAddress = at(path, [...scopePairs(), ["group_by", groups], ["limit", String(ROWS_MAX)]]);
  const table = useData(tableAddress, pulse);
  const whole = useData(at(path, [...scopePairs(), timed]), pulse);
  const before = useData(compares && range.previous ? at(path, [...scopePairs(range.previous), timed]) : null, pulse);

  const isRight = table.data?.group_by?.join() === groups;
  const rows = isRight ? [...table.data.rows] : [];
  rows.sort((one, other) => Number(Boolean(one.rest)) - Number(Boolean(other.rest)) || descending(metric.of(one), metric.of(other)));
  /** The dimension's values by what they add up to. @type {Map<string | null, any>} */
  const sums = new Map();
  for (const row of rows) if (!row.rest) sums.set(row[by] ?? null, plus(sums.get(row[by] ?? null) ?? null, metric.of(row)));
  const names = [...sums].sort(([, one], [, other]) => descending(one, other)).slice(0, top).map(([name]) => name);
  // Within the scope, a name that stands there already must not widen it.
  const others = pairs.filter(([key]) => key !== by);
  const span = scopePairs().slice(0, scopePairs().length - pairs.length);
  const tops = useData(names.length ? at(path, [...span, ...others, ...names.map((name) => /** @type {[string, string]} */ ([by, name ?? ""])), ["group_by", by], timed]) : null, pulse);

  const list = whole.data ? buckets(whole.data, whole.data.interval, tz, now.value) : [];
  const places = new Map(list.map(({ key }, nth) => [key, nth]));
  const empty = () => new Array(list.length).fill(metric.isSum ? (metric.unit === "US dollars" ? 0n : 0) : null);
  const total = empty();
  for (const row of whole.data?.rows ?? []) {
    const place = places.get(keyOf(row.bucket, whole.data.interval));
    if (place !== undefined) total[place] = metric.of(row);
  }
  const series = names.map((name) => ({ name, values: empty() }));
  if (tops.data?.interval === whole.data?.interval) {
    for (const row of tops.data?.rows ?? []) {
      const place = places.get(keyOf(row.bucket, tops.data.interval));
      const found = series.find(({ name }) => name === (row[by] ?? null));
      if (found && place !== undefined) found.values[place] = metric.of(row);
    }
  }
  /** @type {import("../parts/chart.js").Series[]} */
  const all = series;
  if (metric.isSum && (sums.size > names.length || rows.some((row) => row.rest)) && tops.data) {
    const left = total.map((value, place) => series.reduce((left, { values }) => minus(left, values[place]), value));
    all.push({ name: null, rest: true, values: left });
  }
  const past = before.data ? buckets(before.data, before.data.interval, tz, now.value) : [];
  const pastPlaces = new Map(past.map(({ key }, nth) => [key, nth]));
  const earlier = before.data ? list.map(() => /** @type {any} */ (null)) : null;
  for (const row of before.data?.rows ?? []) {
    const place = pastPlaces.get(keyOf(row.bucket, before.data.interval));
    if (earlier && place !== undefined && place < earlier.length) earlier[place] = metric.of(row);
  }
  const error = table.error ?? whole.error ?? tops.error ?? before.error;
  const again = () => [table, whole, tops, before].forEach((asked) => asked.again());
  const isThere = Boolean(isRight && whole.data && (tops.data || names.length === 0));
  return {
    asked: { data: isThere ? table.data : null, error, isLoading: table.isLoading || whole.isLoading || tops.isLoading || before.isLoading, again },
    rows, list, series: all, total, earlier, sum: table.data?.total, past: before.data?.total, interval: whole.data?.interval ?? interval, path: tableAddress,
  };
}
