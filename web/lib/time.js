// Days, ranges and buckets in the zone of the books. A day is text like 2026-11-22 and never a Date: nothing is off by one.

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** @typedef {{from: string, to: string | null}} Span days (`to` is in it) or instants (`to` is not) */
/** @typedef {{name: string, label: string, span: Span, previous: Span | null, interval: string}} Range */

/** The ranges that the bar offers, in the order of their length. */
export const RANGES = /** @type {[string, string][]} */ ([
  ["1h", "Last hour"], ["24h", "24 hours"], ["today", "Today"], ["7d", "7 days"], ["30d", "30 days"],
  ["mtd", "This month"], ["last-month", "Last month"], ["90d", "90 days"], ["365d", "12 months"],
]);

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {string} tz @param {Intl.DateTimeFormatOptions} options @param {string} [locale] */
function format(tz, options, locale = "en-GB") {
  const key = `${tz} ${locale} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) formats.set(key, found = new Intl.DateTimeFormat(locale, { timeZone: tz, hourCycle: "h23", ...options }));
  return found;
}

/** The day in a zone. @param {number} ms @param {string} tz */
export const dayIn = (ms, tz) => format(tz, { year: "numeric", month: "2-digit", day: "2-digit" }, "sv-SE").format(ms);

/** @param {string} day @param {number} days */
export function plus(day, days) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

/** @param {string} day @param {number} months The same day of another month, or its last. */
export function plusMonths(day, months) {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  const last = new Date(Date.UTC(year, month + months, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(date, last))).toISOString().slice(0, 10);
}

/** Days from one to another, both counted. @param {string} from @param {string} to */
export const daysOf = (from, to) => Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY) + 1;

const isDay = (/** @type {string} */ text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));

/** @param {number} days */
const intervalOf = (days) => (days <= 2 ? "hour" : days <= 100 ? "day" : days <= 400 ? "week" : "month");

/**
 * The range with this name, now; null for a name that means nothing.
 * @param {string} name
 * @param {number} now
 * @param {string} tz
 * @returns {Range | null}
 */
export function rangeOf(name, now, tz) {
  const today = dayIn(now, tz);
  const label = RANGES.find(([known]) => known === name)?.[1] ?? name.replace("..", " – ");
  /** @param {string} from @param {string} to @param {Span | null} [previous] @returns {Range} */
  const days = (from, to, previous) => {
    const length = daysOf(from, to);
    previous ??= { from: plus(from, -length), to: plus(from, -1) };
    return { name, label, span: { from, to }, previous, interval: intervalOf(length) };
  };
  /** @param {number} from @param {number | null} to @param {number} length @returns {Range} */
  const instants = (from, to, length) => {
    const text = (/** @type {number} */ ms) => new Date(ms).toISOString();
    const previous = { from: text(from - length), to: text(from) };
    return { name, label, span: { from: text(from), to: to === null ? null : text(to) }, previous, interval: intervalOf(length / DAY) };
  };
  const counted = /^(\d{1,4})d$/.exec(name);
  if (counted && Number(counted[1]) > 0) return days(plus(today, 1 - Number(counted[1])), today);
  const first = `${today.slice(0, 8)}01`;
  switch (name) {
    case "today": return days(today, today);
    case "mtd": return days(first, today, { from: plusMonths(first, -1), to: plusMonths(today, -1) });
    case "last-month": {
      const from = plusMonths(first, -1);
      return days(from, plus(first, -1), { from: plusMonths(first, -2), to: plus(from, -1) });
    }
    // Whole minutes and hours, so that the same question is asked again for a while.
    case "1h": return instants(now - (now % 60_000) - HOUR, null, HOUR);
    case "24h": return instants(now - (now % HOUR) - 23 * HOUR, null, DAY);
  }
  const [from = "", to = "", more] = name.split("..");
  if (more !== undefined) return null;
  if (isDay(from) && isDay(to) && from <= to) return days(from, to);
  const [start, end] = [Date.parse(from), Date.parse(to)];
  if (!from.includes("T") || Number.isNaN(start) || Number.isNaN(end) || end <= start) return null;
  const said = `${instant(start, tz)} – ${dayIn(start, tz) === dayIn(end, tz) ? clock(end, tz) : instant(end, tz)}`;
  return { ...instants(start, end, end - start), label: said };
}

/** @param {Span} span The same as the API takes it. */
export const spanParams = (span) => /** @type {[string, string][]} */ ([["from", span.from], ...(span.to ? [["to", span.to]] : [])]);

/**
 * A bucket of a chart. `day` or `at` names its begin.
 * @typedef {{key: string, label: string, full: string, span: Span}} Bucket
 */

/** What a bucket of an answer is called among {@link buckets}. @param {string} bucket @param {string} interval */
export const keyOf = (bucket, interval) => (interval === "hour" ? String(Date.parse(bucket)) : bucket.slice(0, 10));

/**
 * All buckets of a span, with and without calls.
 * @param {{from: string | null, to: string | null}} span instants, as an answer has them
 * @param {string} interval
 * @param {string} tz
 * @param {number} now
 * @returns {Bucket[]}
 */
export function buckets(span, interval, tz, now) {
  if (!span.from) return [];
  const [start, end] = [Date.parse(span.from), Math.min(span.to ? Date.parse(span.to) : now, now + 2 * DAY)];
  /** @type {Bucket[]} */
  const found = [];
  if (interval === "hour") {
    // Zones begin their hours at whole, half and quarter hours.
    const minute = Number(format(tz, { minute: "2-digit" }).format(start));
    for (let at = start - (start % 60_000) - minute * 60_000; at < end && found.length < 2_000; at += HOUR) {
      const span = { from: new Date(at).toISOString(), to: new Date(at + HOUR).toISOString() };
      found.push({ key: String(at), label: clock(at, tz), full: `${instant(at, tz)}–${clock(at + HOUR, tz)}`, span });
    }
    return found;
  }
  let day = dayIn(start, tz);
  const last = dayIn(end - 1, tz);
  if (interval === "month") day = `${day.slice(0, 8)}01`;
  if (interval === "week") day = plus(day, -((new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7));
  while (day <= last && found.length < 2_000) {
    const next = interval === "month" ? plusMonths(day, 1) : plus(day, interval === "week" ? 7 : 1);
    const full = interval === "day" ? dayName(day, true) : interval === "month" ? monthName(day) : `${dayName(day)} – ${dayName(plus(next, -1))}`;
    found.push({ key: day, label: interval === "month" ? monthName(day) : dayName(day), full, span: { from: day, to: plus(next, -1) } });
    day = next;
  }
  return found;
}

/** @param {string} day @param {boolean} [long] */
export function dayName(day, long) {
  const options = /** @type {Intl.DateTimeFormatOptions} */ ({ day: "numeric", month: "short", ...(long && { weekday: "short", year: "numeric" }) });
  return format("UTC", options).format(Date.parse(`${day}T00:00:00Z`));
}

/** @param {string} day */
const monthName = (day) => format("UTC", { month: "short", year: "numeric" }).format(Date.parse(`${day}T00:00:00Z`));

/** @param {number} ms @param {string} tz */
export const clock = (ms, tz) => format(tz, { hour: "2-digit", minute: "2-digit" }).format(ms);

/** @param {number | string} at @param {string} tz */
export const instant = (at, tz) => format(tz, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(typeof at === "string" ? Date.parse(at) : at);

/** @param {number | string} at @param {string} tz */
export const exact = (at, tz) => format(tz, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }).format(typeof at === "string" ? Date.parse(at) : at);

/** A zone with its offset: `Europe/Berlin, UTC+1`. @param {string} tz @param {number} ms */
export function zoneName(tz, ms) {
  const part = format(tz, { timeZoneName: "shortOffset" }).formatToParts(ms).find(({ type }) => type === "timeZoneName");
  const offset = part?.value.replace("GMT", "UTC") ?? "";
  return offset === tz || tz === "UTC" ? "UTC" : `${tz}, ${offset}`;
}

/** @param {string} tz */
export function isZone(tz) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: tz }));
  } catch {
    return false;
  }
}

/** How long from now: `in 7 h 39 min`. @param {number} ms */
export function until(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

/** How long ago, roughly. @param {number} ms */
export const ago = (ms) => (ms < 5_000 ? "just now" : ms < 90_000 ? `${Math.round(ms / 1000)} s ago` : `${until(ms)} ago`);
