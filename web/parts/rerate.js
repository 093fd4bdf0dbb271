// What the prices in force would make of calls that are recorded, and the run that books it.
import { useEffect, useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { send } from "../lib/api.js";
import { picos, whole } from "../lib/money.js";
import { visible } from "../lib/text.js";
import { Failed, Loading, Usd } from "./small.js";

const PATH = "/api/v1/rerate";

/** @typedef {import("../lib/api.js").Shapes["RerateRun"]} Run */

/** @param {{match?: {[key: string]: string}, onDone?: () => void}} props Only calls without a price, and with these values. */
export function Rerate({ match = {}, onDone }) {
  const [plan, setPlan] = useState(/** @type {Run | null} */ (null));
  const [run, setRun] = useState(/** @type {Run | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const asked = { unpriced: true, match };
  useEffect(() => { send("POST", PATH, { body: asked }).then(setPlan, setError); }, []);
  useEffect(() => {
    if (!run || run.ended_at) return undefined;
    // The latest run is this one, or another that could only begin once this one had ended.
    const look = () => send("GET", PATH).then((/** @type {Run} */ now) => { setRun(now); if (now.ended_at) onDone?.(); }, setError);
    const timer = setTimeout(look, 500);
    return () => clearTimeout(timer);
  }, [run]);
  const book = () => send("POST", PATH, { body: { ...asked, apply: true } }).then(setRun, setError);
  const changes = (run?.ended_at ? run : plan)?.changes;
  if (error) return html`<${Failed} error=${error} />`;
  if (!plan) return html`<${Loading} rows=${1} />`;
  if (run && !run.ended_at) return html`<p role="status">Booking … it goes on when you leave this page.</p>`;
  if (run) return html`<p class="notice" role="status">${run.stopped ? visible(run.stopped) : html`Booked: ${whole(changes?.calls ?? 0)} calls cost <${Usd} of=${picos(changes?.after_usd ?? "0")} /> now.`}</p>`;
  if (!changes?.calls) return html`<p class="quiet">No recorded call waits for it.</p>`;
  return html`<p>${whole(changes.calls)} recorded calls had no price. They have one now: <b><${Usd} of=${picos(changes.after_usd)} /></b> in all.</p>
    <p class="quiet">Reports can be read without the correction, too.</p><div class="actions"><button class="main" onClick=${book}>Book it</button></div>`;
}
