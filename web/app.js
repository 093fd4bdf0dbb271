// The dashboard: finds out who looks at it, and shows the page that the address names.
//
// A page is a module in pages/ with `Page` (a component), `title`, and `has`: the parts of the scope bar that it heeds.
// It is named in PAGES, in the server's list of paths, and, if people go there, in ENTRIES of parts/shell.js.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { html } from "./lib/html.js";
import { identify, me, Refused } from "./lib/api.js";
import * as live from "./lib/live.js";
import { place } from "./lib/url.js";
import { Door, leave, Shell } from "./parts/shell.js";
import { Empty, Failed } from "./parts/small.js";

/** @typedef {{Page: any, title: string, has?: string[]}} PageModule */

/** @type {[RegExp, () => Promise<PageModule>][]} */
const PAGES = [
  [/^\/$/, () => import("./pages/overview.js")],
  [/^\/budgets$/, () => import("./pages/budgets.js")],
  [/^\/keys$/, () => import("./pages/keys.js")],
  [/^\/calls(\/[^/]+)?$/, () => import("./pages/calls.js")],
  [/^\/prices$/, () => import("./pages/prices.js")],
  [/^\/settings$/, () => import("./pages/settings.js")],
  [/^\/admin\/agent-metrics$/, () => import("./pages/agents.js")],
  [/^\/token-usage$/, () => import("./pages/tokens.js")],
  [/^\/explore$/, () => import("./pages/explore.js")],
  [/^\/welcome$/, () => import("./pages/welcome.js")],
];

function App() {
  const [page, setPage] = useState(/** @type {(PageModule & {name: string}) | null} */ (null));
  const [error, setError] = useState(/** @type {Refused | null} */ (null));
  const { path } = place.value;
  const who = me.value;
  useEffect(() => {
    if (who === undefined) identify().catch((refused) => setError(refused));
    else if (who) live.begin();
  }, [who]);
  useEffect(() => {
    let isHere = true;
    const found = PAGES.find(([pattern]) => pattern.test(path));
    const none = { Page: Nothing, title: "Nothing here" };
    (found ? found[1]() : Promise.resolve(none)).then(
      // One call and all calls are one page: it stays while only the path changes.
      (module) => isHere && setPage({ ...module, name: String(found?.[0]) }),
      () => isHere && setError(new Refused(0, { detail: "This page of the dashboard did not come: the server does not answer, or it was renewed. Load the page again." })),
    );
    return () => { isHere = false; };
  }, [path]);
  if (error) return html`<main class="door"><h1>Tollbook</h1><${Failed} error=${error} again=${() => location.reload()} /></main>`;
  if (who === null) return html`<${Door} />`;
  if (!who || !page) return null;
  if (!/\b(admin|viewer|member)\b/.test(who.role)) return html`<main class="door"><h1>Tollbook</h1><${Empty} title="This key reads nothing.">
    <p>It has the role <code>${who.role}</code>. Sign in with a key whose role is admin, viewer or member: the admin key that <code>tollbook serve</code> printed, or one of <code>tollbook key create me --role viewer</code></p><button class="main" onClick=${leave}>Sign in with another key</button><//></main>`;
  return html`<${Shell} title=${page.title} has=${page.has ?? []}><${page.Page} key=${page.name} /><//>`;
}

const Nothing = () => html`<${Empty} title="There is nothing at this address."><p><a href="/">To the overview</a></p><//>`;

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
