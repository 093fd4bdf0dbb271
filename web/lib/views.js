// Saved views: addresses under names, kept in this browser. A shared view is its address.
import { signal } from "@preact/signals";
import { remember, remembered } from "../parts/theme.js";

const NAME = "tollbook.views";
const VIEWS_MAX = 50;

/** @typedef {{name: string, at: string}} View */

/** @returns {View[]} */
function read() {
  try {
    const found = JSON.parse(remembered(NAME) ?? "[]");
    return Array.isArray(found) ? found.filter(({ name, at }) => typeof name === "string" && typeof at === "string" && at.startsWith("/")) : [];
  } catch {
    return [];
  }
}

export const views = signal(read());

/** @param {View[]} to */
function keep(to) {
  views.value = to.slice(0, VIEWS_MAX);
  remember(NAME, JSON.stringify(views.value));
}

/** @param {string} name @param {string} at */
export const saveView = (name, at) => keep([{ name, at }, ...views.value.filter((view) => view.name !== name)]);
/** @param {string} name */
export const dropView = (name) => keep(views.value.filter((view) => view.name !== name));
