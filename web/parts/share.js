// What one may take away from a page: the same question elsewhere, the same rows as a file, the address under a name.
import { useEffect, useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { csv, save } from "../lib/text.js";
import { place } from "../lib/url.js";
import { dropView, saveView, views } from "../lib/views.js";
import { Dialog } from "./dialog.js";
import * as keyboard from "./keyboard.js";
import { Copy, Name, Snippet } from "./small.js";

/**
 * @param {{name: string, head: string[], rows: () => (string | number | null)[][], all?: [string, string][], command: string, curl: string}} props
 *   `rows`: exactly what is shown, amounts with all their digits; `all`: files of everything in scope, by their names
 */
export function Share({ name, head, rows, all = [], command, curl }) {
  const [shown, setShown] = useState("");
  useEffect(() => keyboard.bind({ x: () => setShown("export") }), []);
  const asJson = () => JSON.stringify(rows().map((row) => Object.fromEntries(head.map((title, nth) => [title, row[nth] ?? null]))), null, 1);
  const here = location.pathname + location.search;
  const [title, setTitle] = useState("");
  const keep = (/** @type {Event} */ event) => {
    event.preventDefault();
    saveView(title.trim(), here);
    setTitle("");
  };
  return html`<button onClick=${() => setShown("views")}>Views</button><button onClick=${() => setShown("export")} title="Export  x">Export</button>
  ${shown === "export" && html`<${Dialog} title="Export" onClose=${() => setShown("")}><div class="form">
    <p>Exactly what is shown: ${rows().length} rows, amounts with all their digits.</p>
    <div class="row"><button class="main" onClick=${() => save(`${name}.csv`, csv(head, rows()), "text/csv")}>CSV</button><button onClick=${() => save(`${name}.json`, asJson(), "application/json")}>JSON</button><${Copy} text=${location.origin + here} label="Copy the link" /></div>
    ${all.length > 0 && html`<div><h3>Everything in range, however much</h3><div class="row">${all.map(([label, address]) => html`<a class="button" download href=${address}>${label}</a>`)}</div></div>`}
    <div><h3>On the command line</h3><${Snippet} text=${command} id="as-command" /></div><div><h3>With curl</h3><${Snippet} text=${curl} id="as-curl" /></div></div><//>`}
  ${shown === "views" && html`<${Dialog} title="Views" onClose=${() => setShown("")}><form class="form" onSubmit=${keep}>
    <div class="row"><label class="wide">Save this one as <input required maxlength="80" value=${title} onInput=${(/** @type {any} */ event) => setTitle(event.target.value)} /></label><button class="main">Save</button></div>
    <ul class="choices">${views.value.map((view) => html`<li><a href=${view.at} onClick=${() => setShown("")}><${Name} of=${view.name} /></a><button type="button" onClick=${() => dropView(view.name)}>Forget</button></li>`)}
    ${views.value.length === 0 && html`<li class="quiet">None yet. They are kept in this browser; to share one, copy its link.</li>`}</ul><${Copy} text=${location.origin + place.value.path + location.search} label="Copy this page's link" /></form><//>`}`;
}
