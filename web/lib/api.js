// The one way to the server: JSON over the session's cookie, and the refusals as they are told.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

// What the server answers with has the shapes of its own document; the types are made of it, and only checked.
/** @typedef {import("../types/api").components["schemas"]} Shapes */

/** Who is signed in: undefined until known, null for nobody. @type {import("@preact/signals").Signal<Shapes["Session"] | null | undefined>} */
export const me = signal(undefined);

/** What the server refused, or why it could not be asked. */
export class Refused extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail ?? (status ? `The server answered ${status}.` : "The server cannot be reached."));
    this.status = status;
    /** @type {string} */
    this.code = problem?.code ?? "";
    /** @type {string | null} */
    this.requestId = problem?.request_id ?? null;
    /** @type {{pointer?: string, detail: string}[]} */
    this.errors = problem?.errors ?? [];
  }
}

/**
 * Rates are picodollars as JSON numbers, which a script would round: they come through as text.
 * Within a JSON text a quote that is followed by a colon ends a name, so nothing else is met.
 * @param {string} text
 */
const parse = (text) => JSON.parse(text.replace(/"(picos|cost_picos)":\s*(-?\d+)/g, '"$1":"$2"'));

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} [more]
 * @returns {Promise<any>}
 */
export async function send(method, path, { body, signal, headers = {} } = {}) {
  const told = { accept: "application/json", ...headers };
  if (method !== "GET" && me.value?.csrf_token) Object.assign(told, { "x-tollbook-csrf": me.value.csrf_token });
  if (body !== undefined) Object.assign(told, { "content-type": "application/json" });
  let response;
  try {
    response = await fetch(path, { method, headers: told, body: body === undefined ? undefined : JSON.stringify(body), signal, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, null);
  }
  const text = await response.text();
  let found = null;
  try {
    found = text ? parse(text) : null;
  } catch {
    // An answer of something in between; its status says enough.
  }
  if (response.ok) return found;
  if (response.status === 401 && me.value && path !== "/api/v1/session") me.value = null;
  throw new Refused(response.status, found);
}

/** @param {string} path @param {{signal?: AbortSignal}} [more] */
export const get = (path, more) => send("GET", path, more);

const has = (/** @type {string} */ role) => String(me.value?.role ?? "").split("+").includes(role);
/** Whether who is signed in is an admin. */
export const isAdmin = () => has("admin");
/** Whether they see what is everybody's: budgets, alerts. */
export const seesAll = () => isAdmin() || has("viewer");

/** Finds out who is signed in. */
export async function identify() {
  try {
    me.value = await get("/api/v1/session");
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401) throw error;
    me.value = null;
  }
}

/**
 * An address with parameters.
 * @param {string} path
 * @param {[string, string][]} pairs
 */
export const at = (path, pairs) => `${path}?${new URLSearchParams(pairs)}`;

/** @typedef {{data: any, error: Refused | null, isLoading: boolean, again: () => void}} Asked */

/**
 * What stands at an address; what stood at the last one stays until it is there. Asked anew when `pulse` changes.
 * @param {string | null} path nothing is asked for null
 * @param {unknown} [pulse]
 * @returns {Asked}
 */
export function useData(path, pulse) {
  const [state, setState] = useState(/** @type {{data: any, error: Refused | null, of: string | null}} */ ({ data: null, error: null, of: null }));
  const [tries, setTries] = useState(0);

  useEffect(() => {
    if (path === null) return undefined;
    const ending = new AbortController();
    get(path, { signal: ending.signal }).then(
      (data) => setState({ data, error: null, of: path }),
      (error) => {
        if (ending.signal.aborted) return;
        // What is still right is not thrown away because it could not be asked again.
        setState((before) => ({ data: before.of === path ? before.data : null, error: error instanceof Refused ? error : new Refused(0, { detail: String(error) }), of: path }));
      },
    );

    return () => ending.abort();
  }, [path, pulse, tries]);
  return { data: path === null ? null : state.data, error: state.error, isLoading: path !== null && state.of !== path, again: () => setTries((count) => count + 1) };
}
