// Light, dark, or as the system has it.
import { signal } from "@preact/signals";

const NAME = "tollbook.theme";
const KNOWN = ["system", "light", "dark"];

/** @param {string} name @returns {string | null} */
export function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** @param {string} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Without storage it holds until the page is left.
  }
}

export const theme = signal(KNOWN.includes(remembered(NAME) ?? "") ? /** @type {string} */ (remembered(NAME)) : "system");

const system = matchMedia("(prefers-color-scheme: dark)");
/** Whether the system is dark; it may change while one looks. */
export const isDark = signal(system.matches);
system.addEventListener("change", () => { isDark.value = system.matches; });

/** @param {string} to */
export function setTheme(to) {
  theme.value = to;
  remember(NAME, to);
  if (to === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = to;
}

export const nextTheme = () => setTheme(/** @type {string} */ (KNOWN[(KNOWN.indexOf(theme.value) + 1) % KNOWN.length]));
