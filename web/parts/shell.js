// What stands around every page: where one can go, who one is, help, and the door for who has not signed in.
import { useEffect, useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { identify, isAdmin, me, Refused, seesAll, send } from "../lib/api.js";
import * as live from "../lib/live.js";
import { go, onwards, place } from "../lib/url.js";
import { Dialog } from "./dialog.js";
import * as keyboard from "./keyboard.js";
import { ScopeBar, shift } from "./scope.js";
import { Failed, Name } from "./small.js";
import { nextTheme, setTheme, theme } from "./theme.js";

/** @typedef {{path: string, name: string, key: string, icon: string, for?: () => boolean}} Entry */

/** The pages of the navigation; each with the letter after `g`. @type {Entry[]} */
export const ENTRIES = [
  { path: "/", name: "Overview", key: "o", icon: "M3 12l9-8 9 8M6 10v10h12V10" },
  { path: "/explore", name: "Explore", key: "e", icon: "M4 20V10M10 20V4M16 20v-8M21 20H3" },
  { path: "/calls", name: "Calls", key: "c", icon: "M4 6h16M4 12h16M4 18h10" },
  { path: "/budgets", name: "Budgets", key: "b", icon: "M12 3a9 9 0 1 0 9 9h-9z", for: seesAll },
  { path: "/keys", name: "Keys", key: "k", icon: "M15 9a4 4 0 1 1-4-4 4 4 0 0 1 4 4zM9 12l-6 6v3h3l1-2h2l2-3", for: isAdmin },
  { path: "/prices", name: "Prices", key: "p", icon: "M4 4h8l8 8-8 8-8-8zM8 8h.01" },
  { path: "/settings", name: "Settings", key: "s", icon: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4" },
];

/** @param {{path: string}} props */
const Icon = ({ path }) => html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d=${path} /></svg>`;

const shown = () => ENTRIES.filter((entry) => !entry.for || entry.for());

/** @param {{title: string, has?: string[], children: any}} props */
export function Shell({ title, has = [], children }) {
  const [helps, setHelps] = useState(false);
  const { path } = place.value;
  useEffect(() => { document.title = `${title} · Tollbook`; }, [title]);
  useEffect(() => keyboard.bind({
    "?": () => setHelps(true), "/": () => document.dispatchEvent(new Event("tollbook:filter")), d: nextTheme, l: live.toggle,
    "[": () => shift(-1), "]": () => shift(1), j: () => keyboard.moveRow(1), k: () => keyboard.moveRow(-1),
    ...Object.fromEntries(shown().map((entry) => [`g ${entry.key}`, () => go(onwards(entry.path))])),
  }), [me.value]);
  const isHere = (/** @type {Entry} */ entry) => (entry.path === "/" ? path === "/" : path.startsWith(entry.path));
  return html`<a class="skip" href="#main">To the content</a>
  <nav class="nav" aria-label="Pages"><a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M8 9h16M8 16h11M8 23h14" /></svg><span>Tollbook</span></a>
    <ul>${shown().map((entry) => html`<li><a href=${onwards(entry.path)} aria-current=${isHere(entry) ? "page" : null}><${Icon} path=${entry.icon} /><span>${entry.name}</span></a></li>`)}</ul>
    <div class="who"><${Who} onHelp=${() => setHelps(true)} /></div></nav>
  <main id="main" tabindex="-1"><div class="top"><h1>${title}</h1><${ScopeBar} has=${has} /></div>${children}</main>
  ${helps && html`<${Help} onClose=${() => setHelps(false)} />`}`;
}

/** Signs out. */
export async function leave() {
  await send("DELETE", "/api/v1/session").catch(() => null);
  live.end();
  me.value = null;
}

/** @param {{onHelp: () => void}} props */
function Who({ onHelp }) {
  return html`<div class="name-line"><${Name} of=${me.value?.name} /><span class="quiet">${me.value?.role}</span></div>
    <label><span class="sr">Theme</span><select value=${theme.value} onChange=${(/** @type {any} */ event) => setTheme(event.target.value)}><option value="system">System theme</option><option value="light">Light</option><option value="dark">Dark</option></select></label>
    <div class="row"><button class="plain" onClick=${onHelp}>Shortcuts <kbd>?</kbd></button><button class="plain" onClick=${leave}>Sign out</button></div>`;
}

const KEYS = /** @type {[string, string][]} */ ([
  ["?", "this help"], ["/", "filter"], ["j  k", "next, previous row"], ["Enter", "open"], ["Esc", "close"], ["[  ]", "range before, next range"],
  ["t", "table or chart"], ["l", "pause live, go on"], ["x", "export"], ["d", "theme"], ["← →", "in a chart: move; Shift marks; Enter opens the calls"],
]);

/** @param {{onClose: () => void}} props */
const Help = ({ onClose }) => html`<${Dialog} title="Shortcuts" onClose=${onClose}>
  <dl class="keys">${[...KEYS, ...shown().map(({ key, name }) => /** @type {[string, string]} */ ([`g ${key}`, name]))].map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
  <label class="check"><input type="checkbox" checked=${keyboard.isOn.value} onChange=${() => keyboard.setOn(!keyboard.isOn.value)} /> Single keys do something</label>
<//>`;

/** Signing in with a key. */
export function Door() {
  const [error, setError] = useState(/** @type {Refused | null} */ (null));
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { document.title = "Sign in · Tollbook"; }, []);
  const enter = async (/** @type {any} */ event) => {
    event.preventDefault();
    const key = new FormData(event.target).get("key");
    setBusy(true);
    try {
      me.value = await send("POST", "/api/v1/session", { body: { key: String(key).trim() } });
    } catch (refused) {
      setError(/** @type {Refused} */ (refused));
      await identify().catch(() => null);
    }
    setBusy(false);
  };
  return html`<main class="door"><h1>Tollbook</h1><p>The books on LLM use.</p><p class="quiet">With the admin key that <code>tollbook serve</code> printed, or one of your own.</p>
    <form class="form" onSubmit=${enter}><label>Key <input name="key" type="password" autocomplete="current-password" required autofocus placeholder="tb_…" /></label>
    <button class="main" disabled=${isBusy}>Sign in</button></form>
    ${error && html`<${Failed} error=${error} />`}
    <p class="quiet">Or open a sign-in link: <code>tollbook serve</code> prints one when it starts, and <code>tollbook member link</code> makes another.</p></main>`;
}
