// Keys, off while somebody types, and altogether if wanted (WCAG 2.1.4).
import { signal } from "@preact/signals";
import { remember, remembered } from "./theme.js";

const NAME = "tollbook.keys";

/** Whether single keys do anything. */
export const isOn = signal(remembered(NAME) !== "off");

/** @param {boolean} on */
export function setOn(on) {
  isOn.value = on;
  remember(NAME, on ? "on" : "off");
}

/** What pages add while they are shown: key → what it does. @type {Map<string, () => void>} */
const bound = new Map();
let isGoing = 0;

/** Binds keys until the answer is called. @param {Record<string, () => void>} keys */
export function bind(keys) {
  for (const [key, act] of Object.entries(keys)) bound.set(key, act);
  return () => {
    for (const [key, act] of Object.entries(keys)) if (bound.get(key) === act) bound.delete(key);
  };
}

/** @param {EventTarget | null} target */
const types = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

document.addEventListener("keydown", (event) => {
  if (!isOn.value || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || types(event.target)) return;
  if (document.querySelector("dialog[open].box")) return;
  const name = isGoing && Date.now() - isGoing < 1_500 ? `g ${event.key}` : event.key;
  isGoing = event.key === "g" ? Date.now() : 0;
  const act = bound.get(name);
  if (!act) return;
  event.preventDefault();
  act();
});

/** Moves among the rows of the page's list. @param {number} by */
export function moveRow(by) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]?.focus();
}
