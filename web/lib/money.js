// Money as the API has it: decimal text in dollars, counted in picodollars. It becomes a number only to place a pixel.

const PICOS = 1_000_000_000_000n;
const DIGITS = 12;

/**
 * The picodollars in decimal text; digits beyond the twelfth are dropped.
 * @param {string | null | undefined} text
 * @returns {bigint | null}
 */
export function picos(text) {
  const parts = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text ?? "");
  if (!parts) return null;
  const [, sign, whole = "0", rest = ""] = parts;
  const found = BigInt(whole) * PICOS + BigInt(rest.slice(0, DIGITS).padEnd(DIGITS, "0"));
  return sign ? -found : found;
}

/**
 * Decimal text of picodollars, all digits, none too many.
 * @param {bigint} amount
 */
export function decimal(amount) {
  const size = amount < 0n ? -amount : amount;
  const rest = String(size % PICOS).padStart(DIGITS, "0").replace(/0+$/, "");
  return `${amount < 0n ? "-" : ""}${size / PICOS}${rest && `.${rest}`}`;
}

/** @param {bigint} whole */
const grouped = (whole) => String(whole).replace(/\B(?=(\d{3})+$)/g, ",");

/**
 * An amount as people read it: cents from a dollar on, four digits below, and what is smaller by its first two digits.
 * @param {bigint | null | undefined} amount in picodollars
 */
export function usd(amount) {
  if (amount === null || amount === undefined) return "unpriced";
  if (amount === 0n) return "$0";
  const sign = amount < 0n ? "−" : "";
  const size = amount < 0n ? -amount : amount;
  const digits = size >= PICOS ? 2 : size >= PICOS / 100n ? 4 : DIGITS + 2 - String(size).length;
  const unit = 10n ** BigInt(DIGITS - Math.min(digits, DIGITS));
  const rounded = (size + unit / 2n) / unit * unit;
  const rest = String(rounded % PICOS).padStart(DIGITS, "0").slice(0, digits);
  return `${sign}$${grouped(rounded / PICOS)}${digits > 0 ? `.${rest}` : ""}`;
}

/**
 * Whether a row's sum is an amount: where no call has a price, it is none.
 * @param {{calls: number, unpriced_calls: number, unknown_calls: number, cost_usd: string}} row
 */
export function hasAmount(row) {
  return row.calls === 0 || row.unpriced_calls + row.unknown_calls < row.calls || picos(row.cost_usd) !== 0n;
}

/**
 * What a row costs, or null where no call of it has a price.
 * @param {any} row
 * @returns {bigint | null}
 */
export function costOf(row) {
  return hasAmount(row) ? picos(row.cost_usd) : null;
}

/**
 * For pixels alone.
 * @param {bigint | number | null | undefined} amount
 */
export function pixels(amount) {
  return typeof amount === "bigint" ? Number(amount) / 1e12 : amount ?? 0;
}

/**
 * A share in tenths of a percent, exact: `12.3 %`.
 * @param {bigint | number | null} part
 * @param {bigint | number | null} whole
 */
export function share(part, whole) {
  if (part === null || !whole) return "";
  const [one, all] = [BigInt(part), BigInt(whole)];
  const tenths = (one * 2000n + all) / (2n * all);
  return `${tenths / 10n}.${(tenths < 0n ? -tenths : tenths) % 10n} %`;
}

/**
 * A count as people read it: `1.24 M`.
 * @param {number | null | undefined} count
 */
export function short(count) {
  if (count === null || count === undefined) return "–";
  const steps = /** @type {[number, string][]} */ ([[1e12, " T"], [1e9, " B"], [1e6, " M"], [1e4, " k"]]);
  for (const [size, unit] of steps) {
    if (Math.abs(count) >= size) {
      const scaled = count / (unit === " k" ? 1e3 : size);
      return `${scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2)}${unit}`;
    }
  }
  return Number.isInteger(count) ? count.toLocaleString("en") : count.toFixed(2);
}

/** @param {number | null | undefined} count */
export const whole = (count) => count === null || count === undefined ? "–" : count.toLocaleString("en");

/** @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 100_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s` : `${Math.round(ms / 60_000)} min`;
}
