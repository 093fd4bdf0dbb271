// What happens, as it happens: one socket for all pages. It says when it is stale, pauses when told to, and comes back by itself.
import { signal } from "@preact/signals";

const KEPT = 100;
/** Sums are asked for again at most so often. */
const PULSE_MS = 2_500;

/** `off`, `connecting`, `live`, `paused` or `lost`. */
export const state = signal("off");
/** When something was last heard. */
export const heardAt = signal(0);
/** The latest calls, newest first. @type {import("@preact/signals").Signal<any[]>} */
export const calls = signal([]);
/** Streams on their way. @type {import("@preact/signals").Signal<{calls: any[], more: number}>} */
export const flights = signal({ calls: [], more: 0 });
/** Changes when the books did. */
export const pulse = signal(0);

/** @type {WebSocket | null} */
let socket = null;
let seq = 0;
let failures = 0;
let isDue = false;

function beat() {
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    if (state.value !== "paused") pulse.value += 1;
  }, PULSE_MS);
}

/** @param {any} message */
function take(message) {
  heardAt.value = Date.now();
  if (typeof message.seq === "number") seq = Math.max(seq, message.seq);
  if (message.type === "call") {
    const others = calls.value.filter(({ id, source, project }) => id !== message.call.id || source !== message.call.source || project !== message.call.project);
    calls.value = [message.call, ...others].slice(0, KEPT);
    beat();
  } else if (message.type === "progress") {
    flights.value = { calls: message.calls, more: message.more };
  } else if (message.type === "gap" || message.type === "alert") {
    beat();
  }
}

/** Opens the socket, and opens it again when it is lost. */
export function begin() {
  if (socket || state.value === "paused") return;
  state.value = state.value === "lost" ? "lost" : "connecting";
  const query = seq > 0 ? `?after=${seq}` : "";
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live${query}`, ["tollbook"]);
  socket = opened;
  opened.onopen = () => {
    failures = 0;
    // What could not be asked meanwhile is asked now.
    if (state.value === "lost") pulse.value += 1;
    state.value = "live";
    heardAt.value = Date.now();
  };
  opened.onmessage = ({ data }) => take(JSON.parse(data));
  opened.onclose = () => {
    if (socket !== opened) return;
    socket = null;
    flights.value = { calls: [], more: 0 };
    if (state.value === "paused" || state.value === "off") return;
    state.value = "lost";
    failures += 1;
    setTimeout(begin, Math.min(15_000, 500 * 2 ** failures));
  };
}

/** @param {string} how */
function close(how) {
  state.value = how;
  const open = socket;
  socket = null;
  open?.close();
}

/** Pauses, or goes on. */
export function toggle() {
  if (state.value === "paused") {
    state.value = "off";
    begin();
    pulse.value += 1;
  } else {
    close("paused");
  }
}

/** Ends it, as when somebody signs out. */
export function end() {
  close("off");
  calls.value = [];
}
