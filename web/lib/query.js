// What is asked: the scope in the address (range, zone, filters), as the API, the command line and people say it.
import { computed, signal } from "@preact/signals";
import { me } from "./api.js";
import { quoted, visible } from "./text.js";
import { dayIn, isZone, rangeOf, spanParams } from "./time.js";
import { changed, go, place } from "./url.js";

/** @typedef {{key: string, value: string, isNot: boolean}} Filter */

/** The dimensions with what people call them. Tags are dimensions as well: `tag.team`. */
export const DIMENSIONS = /** @type {Record<string, string>} */ ({
  model: "Model", user: "User", key: "Key", project: "Project", customer: "Customer", agent: "Agent", operation: "Operation",
  provider: "Provider", session: "Session", status: "Status", source: "Source", evidence: "Evidence", agent_name: "Agent name", operation_id: "Operation id",
});

/** @param {string} key */
export const isDimension = (key) => key in DIMENSIONS || /^tag\.[^\s=!,:]{1,64}$/.test(key);
/** @param {string} key */
export const labelOf = (key) => DIMENSIONS[key] ?? (key.startsWith("tag.") ? `Tag ${visible(key.slice(4))}` : key);

/** A minute hand: ranges that end now move with it. */
export const now = signal(Date.now());
setInterval(() => { now.value = Date.now(); }, 30_000);

/** @param {string} text `model:gpt-4o` or `!team:ops` @returns {Filter | null} */
export function readFilter(text) {
  const isNot = text.startsWith("!");
  const [, key = "", value = ""] = /^!?([^:]*):?([\s\S]*)$/.exec(text) ?? [];
  return isDimension(key) ? { key, value, isNot } : null;
}

/** @param {Filter} filter */
export const writeFilter = ({ key, value, isNot }) => `${isNot ? "!" : ""}${key}:${value}`;

/** @param {Filter} filter @returns {[string, string]} */
const pairOf = ({ key, value, isNot }) => [isNot ? `${key}!` : key, value];

/** The scope of the page; what is not known in the address is named in `ignored`. */
export const scope = computed(() => {
  const { params } = place.value;
  /** @type {string[]} */
  const ignored = [];
  const asked = params.get("tz") ?? "";
  if (asked && !isZone(asked)) ignored.push(`tz=${asked}`);
  const tz = asked && isZone(asked) ? asked : me.value?.time_zone ?? "UTC";
  const name = params.get("range") ?? "30d";
  const found = rangeOf(name, now.value, tz);
  if (!found) ignored.push(`range=${name}`);
  const range = found ?? /** @type {import("./time.js").Range} */ (rangeOf("30d", now.value, tz));
  /** @type {Filter[]} */
  const filters = [];
  for (const text of params.getAll("f")) {
    const filter = readFilter(text);
    if (filter) filters.push(filter);
    else ignored.push(`f=${text}`);
  }
  const zone = asked && isZone(asked) ? /** @type {[string, string][]} */ ([["tz", asked]]) : [];
  const pairs = [...zone, ...filters.map(pairOf)];
  return { tz, zone, range, filters, pairs, compares: params.get("compare") === "1", ignored };
});

/** Whether calls that happen now are in scope, as far as that is known without asking. */
export const isOpen = () => {
  const { filters, range, tz } = scope.value;
  const { to } = range.span;
  return filters.length === 0 && (!to || (!to.includes("T") && to >= dayIn(now.value, tz)));
};

/** Everything in scope, as parameters of the API. @param {import("./time.js").Span} [span] @returns {[string, string][]} */
export const scopePairs = (span = scope.value.range.span) => [...spanParams(span), ...scope.value.pairs];

/** @param {Filter[]} filters */
export const setFilters = (filters) => go(changed({ f: filters.map(writeFilter), cursor: null }));

/** Adds a filter; its opposite goes. @param {Filter} filter */
export function addFilter(filter) {
  const others = scope.value.filters.filter(({ key, value }) => key !== filter.key || value !== filter.value);
  setFilters([...others, filter]);
}

/** The same question on the command line. @param {string} command @param {[string, string][]} more */
export function asCommand(command, more = []) {
  const { range, zone, filters } = scope.value;
  const options = [["--since", range.span.from], ...(range.span.to ? [["--until", range.span.to]] : []), ...zone.map(([, tz]) => ["--tz", tz]), ...more];
  const conditions = filters.map((filter) => ["-f", pairOf(filter).join("=")]);
  return ["tollbook", command, ...[...options, ...conditions].flat().filter(Boolean).map((word) => quoted(String(word)))].join(" ");
}

/** The same question with curl. @param {string} path with its query */
export const asCurl = (path) => `curl -s ${quoted(location.origin + path)} -H "authorization: Bearer $KEY"`;
