// Keys stand in the books by their ids; people know them by their names.
import { signal } from "@preact/signals";
import { get, isAdmin } from "./api.js";

/** Keys' names by their ids. @type {import("@preact/signals").Signal<Record<string, string>>} */
export const keyNames = signal({});

/** Learns the names, where whoever is signed in may. */
export async function learnNames() {
  if (!isAdmin()) return;
  const keys = await get("/api/v1/keys").catch(() => null);
  if (keys) keyNames.value = Object.fromEntries(keys.data.map((/** @type {any} */ key) => [key.id, key.name]));
}

/** How a value of a dimension is called. @param {string} dimension @param {string | null} value */
export const nameOf = (dimension, value) => (dimension === "key" && value ? keyNames.value[value] ?? value : value);
