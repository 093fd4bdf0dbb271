// One person's usage, to embed in a frame of any site: today, this month, and what it was used for. It shows what the key in the
// fragment (`#key=tb_…`) sees and nothing else; the fragment is never sent to a server.
import { render } from "preact";
import { html } from "./lib/html.js";
import { costOf, share, short, usd, whole } from "./lib/money.js";
import { visible } from "./lib/text.js";
import { dayIn } from "./lib/time.js";

const told = new URLSearchParams(location.hash.slice(1));
const theme = told.get("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;

/** @param {string} path @returns {Promise<any>} */
async function get(path) {
  const response = await fetch(path, { headers: { authorization: `Bearer ${told.get("key") ?? ""}` }, credentials: "omit" });
  if (!response.ok) throw new Error((await response.json().catch(() => null))?.detail ?? `The server answered ${response.status}.`);
  return response.json();
}

/** @param {{today: any, month: any}} props */
function Widget({ today, month }) {
  const rows = month.rows.filter((/** @type {any} */ row) => !row.rest);
  return html`<main class="widget"><dl>
    <div><dt>Today</dt><dd class="num">${short(today.total.total_tokens ?? 0)} tokens</dd><dd class="quiet num">${whole(today.total.calls)} ${today.total.calls === 1 ? "call" : "calls"} · ${usd(costOf(today.total))}</dd></div>
    <div><dt>30 days</dt><dd class="num">${usd(costOf(month.total))}</dd><dd class="quiet num">${short(month.total.total_tokens ?? 0)} tokens</dd></div>
    <div><dt>Mostly for</dt><dd><bdi>${rows[0] ? visible(rows[0].operation ?? "no operation") : "–"}</bdi></dd><dd class="quiet num">${rows[0] && share(rows[0].calls, month.total.calls)}</dd></div></dl></main>`;
}

async function show() {
  const root = document.getElementById("app");
  if (!root) return;
  try {
    const day = dayIn(Date.now(), (await get("/api/v1/session")).time_zone);
    const [today, month] = await Promise.all([get(`/api/v1/usage?from=${day}&to=${day}`), get("/api/v1/usage?from=30d&group_by=operation&limit=50")]);
    month.rows.sort((/** @type {any} */ one, /** @type {any} */ other) => other.calls - one.calls);
    render(html`<${Widget} today=${today} month=${month} />`, root);
  } catch (error) {
    render(html`<main class="widget"><p role="alert">${told.get("key") ? String(/** @type {Error} */ (error).message) : "No key: the frame's address ends in #key=tb_…, a member's key."}</p></main>`, root);
  }
}

show();
addEventListener("hashchange", () => location.reload());
setInterval(show, 60_000);
