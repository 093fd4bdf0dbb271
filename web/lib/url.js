// The address is the state: every page reads what it shows from there, and changes it there.
import { signal } from "@preact/signals";

const read = () => ({ path: location.pathname, params: new URLSearchParams(location.search) });

/** Where we are. */
export const place = signal(read());

addEventListener("popstate", () => { place.value = read(); });

/** @param {string} path @param {URLSearchParams | Record<string, string | null | undefined>} [params] */
export function address(path, params = {}) {
  const pairs = params instanceof URLSearchParams ? params : new URLSearchParams(
    /** @type {[string, string][]} */ (Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "")));
  // Colons, commas and exclamation marks may stand as they are, and read better.
  const text = String(pairs).replace(/%(3A|2C|21|2F|40)/g, (code) => decodeURIComponent(code));
  return text ? `${path}?${text}` : path;
}

/** @param {string} to @param {{replace?: boolean}} [how] */
export function go(to, { replace = false } = {}) {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  const isElsewhere = location.pathname !== place.value.path;
  place.value = read();
  if (isElsewhere) scrollTo(0, 0);
}

/**
 * This page with some of its parameters changed; null takes one out, a list repeats it.
 * @param {Record<string, string | string[] | null>} changes
 * @param {string} [path]
 */
export function changed(changes, path = place.value.path) {
  const params = new URLSearchParams(place.value.params);
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    for (const one of Array.isArray(value) ? value : value === null ? [] : [value]) params.append(name, one);
  }
  return address(path, params);
}

/** The parts of the state that go along from page to page. */
const CARRIED = ["range", "tz", "compare", "f"];

/** Another page, within the same scope. @param {string} path @param {Record<string, string | string[] | null>} [changes] */
export function onwards(path, changes = {}) {
  const params = new URLSearchParams();
  for (const name of CARRIED) for (const value of place.value.params.getAll(name)) params.append(name, value);
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    for (const one of Array.isArray(value) ? value : value === null ? [] : [value]) params.append(name, one);
  }
  return address(path, params);
}

// Links are followed here as long as they stay here.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/assets/") || (link.hash && link.pathname === location.pathname)) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
