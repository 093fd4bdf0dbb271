// Looks at the dashboard of a real server as people do: in a browser, every page, three widths, both themes, with hostile names
// in the books, by mouse and by keyboard alone, and holds its totals against the API's. Prints a line, or all that is wrong.
//
// node proof.mjs URL ADMIN_KEY [DIRECTORY for pictures]
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { names, shown } from "./names.mjs";

const [url, key, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["/", "/explore", "/explore?by=user&split=operation&compare=1", "/calls", "/budgets?over=1", "/budgets?new=1", "/budgets?new=channel", "/keys", "/keys?new=key", "/prices", "/settings", "/welcome", "/token-usage", "/admin/agent-metrics"];
const WIDTHS = [1440, 768, 360];
const THEMES = ["light", "dark"];
const FILTERS = 50;
const wrong = [];
const miss = (what) => wrong.push(what);

const api = async (method, path, body, as = key) => {
  const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${as}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 300)}`);
  return text ? JSON.parse(text) : null;
};

/** The same numbers in every run. */
let state = 7;
const random = (below) => {
  state = (state * 1103515245 + 12345) % 2147483648;
  return state % below;
};
const MODELS = [["openai", "gpt-4o"], ["anthropic", "claude-sonnet-4-5"], ["openai", "gpt-4o-mini"], ["google", "gemini-2.5-pro"], ["openai", "gpt-5"], ["acme", "house-model"]];
const DIMENSIONS = { model: MODELS.map(([, model]) => model), operation: ["chat", "embed", "rank"], agent: ["support", "coder"], project: ["web", "batch"], "tag.team": ["ops", "search", "growth"] };

function events() {
  const made = [];
  const now = Date.now();
  for (let nth = 0; nth < 800; nth += 1) {
    const [provider, model] = MODELS[random(MODELS.length)];
    const event = { id: `proof-${nth}`, occurred_at: new Date(now - random(40 * 86_400) * 1_000).toISOString(), provider, model, user: names[nth % names.length], operation: DIMENSIONS.operation[random(3)], agent: DIMENSIONS.agent[random(2)], project: DIMENSIONS.project[random(2)], tags: { team: DIMENSIONS["tag.team"][random(3)] }, latency_ms: 100 + random(5_000) };
    if (random(30) === 0) Object.assign(event, { status: "upstream_error", error: names[nth % names.length].slice(0, 200) });
    else event.usage = { input_tokens: 1 + random(9_000), output_tokens: 1 + random(2_000) };
    made.push(event);
  }
  names.forEach((name, nth) => made.push({ id: `named-${nth}`, provider: "openai", model: name, agent: name, operation: name, session: name, tags: { team: name }, user: "named", usage: { input_tokens: 10, output_tokens: 1 } }));
  return made;
}

/** Waits until a page shows what it has. */
const settled = (page) => page.waitForFunction(() => document.querySelector("main h1") && document.querySelector("main h1").textContent !== "Nothing here" && !document.querySelector(".loading, [aria-busy='true'], i.wait"), null, { timeout: 15_000 });

/** A page that notes whatever goes wrong on it. */
async function open(context, where) {
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && miss(`${page.url().replace(url, "")}: console: ${message.text()}`));
  page.on("pageerror", (error) => miss(`${page.url().replace(url, "")}: ${error.stack}`));
  page.on("dialog", (dialog) => { miss(`${page.url()}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => !request.url().startsWith(url) && !request.url().startsWith("blob:") && !request.url().startsWith("data:") && miss(`a request elsewhere: ${request.url()}`));
  await page.exposeFunction("violated", (what) => miss(`${page.url().replace(url, "")}: policy: ${what}`));
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => globalThis.violated(`${event.violatedDirective} ${event.blockedURI}`)));
  if (where) await page.goto(url + where);
  return page;
}

async function signedIn(browser, as = key) {
  const context = await browser.newContext();
  const answer = await context.request.post(`${url}/api/v1/session`, { data: { key: as } });
  if (!answer.ok()) throw new Error(`cannot sign in: ${await answer.text()}`);
  return context;
}

/** Before the first call: the page waits, and turns by itself. */
async function welcome(browser) {
  const context = await signedIn(browser);
  const page = await open(context, "/");
  await page.waitForURL(`${url}/welcome`);
  const arrival = page.getByTestId("arrival");
  await page.waitForFunction(() => document.querySelector(".live.is-live"));
  if (!(await arrival.innerText()).includes("Waiting")) miss("/welcome does not wait");
  const since = Date.now();
  const { cost_usd: cost } = await api("POST", "/api/v1/events", { id: "hello-1", provider: "openai", model: "gpt-4o", usage: { input_tokens: 1200, output_tokens: 300 }, user: "me" });
  await page.waitForFunction(() => document.querySelector("[data-testid='arrival']")?.textContent.includes("First event"), null, { timeout: 5_000 }).catch(() => miss("/welcome did not turn by itself"));
  const took = Date.now() - since;
  const said = await arrival.innerText();
  if (!said.includes(`gpt-4o · 1,500 tokens · $${Number(cost).toFixed(4)}`)) miss(`/welcome says: ${said}`);
  await context.close();
  return took;
}

/** Every page, at every width, in both themes: no error, no sideways scroll, nothing for axe to say. */
async function everywhere(context) {
  let looked = 0;
  for (const theme of THEMES) {
    const page = await open(context);
    await page.emulateMedia({ colorScheme: theme });
    for (const where of PAGES) {
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        if (width === WIDTHS[0]) await page.goto(url + where);
        await settled(page).catch(() => miss(`${where} at ${width}: does not settle`));
        await page.waitForTimeout(50);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) miss(`${where} at ${width}: ${wide} px too wide`);
        if (width !== 768) {
          const found = await page.evaluate(async (source) => {
            if (!globalThis.axe) (0, eval)(source);
            const { violations } = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
            return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} (${failureSummary?.split("\n")[1]?.trim()})`).join("; ")}`);
          }, axe).catch((error) => [`axe cannot be run: ${error.message.split("\n")[0]}`]);
          found.forEach((what) => miss(`${where} at ${width} ${theme}: axe: ${what}`));
        }
        if (pictures) await page.screenshot({ path: `${pictures}/${where.replace(/\W+/g, "-")}-${width}-${theme}.png`, fullPage: true });
        looked += 1;
      }
    }
    await page.close();
  }
  return looked;
}

/** Hostile names are text, everywhere that they are shown. */
async function hostile(context) {
  const page = await open(context);
  let seen = 0;
  for (const by of ["user", "model", "operation", "agent", "session", "tag.team"]) {
    await page.goto(`${url}/explore?range=90d&by=${by}`);
    await settled(page);
    const text = await page.getByTestId("explore-table").evaluate((table) => [...table.querySelectorAll("bdi")].map((cell) => cell.textContent));
    const there = new Set(text);
    for (const name of names) {
      if (!there.has(shown(name))) miss(`/explore by ${by} does not show ${JSON.stringify(shown(name)).slice(0, 80)}`);
      else seen += 1;
    }
  }
  for (const nth of [1, 2, 76, 82]) {
    await page.goto(`${url}/calls/named-${nth}`);
    await settled(page);
  }
  if (await page.evaluate(() => globalThis.pwned !== undefined || document.querySelector("main img, main iframe, main style") !== null)) miss("a hostile name became markup");
  await page.close();
  return seen;
}

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** Totals on pages are the API's, to the last digit, under any filters. */
async function totals(context) {
  const page = await open(context);
  for (let nth = 0; nth < FILTERS; nth += 1) {
    const chosen = Object.entries(DIMENSIONS).filter(() => random(3) === 0).map(([dimension, values]) => [dimension, values[random(values.length)], random(3) === 0]);
    const range = ["7d", "30d", "90d", "mtd", "last-month"][random(5)];
    const query = new URLSearchParams([["range", range], ["by", Object.keys(DIMENSIONS)[random(5)]], ...chosen.map(([dimension, value, isNot]) => ["f", `${isNot ? "!" : ""}${dimension}:${value}`])]);
    await page.goto(`${url}/explore?${query}`);
    await settled(page);
    const asked = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name).find((name) => name.includes("/api/v1/usage?") && name.includes("group_by=")));
    const params = new URL(asked).searchParams;
    params.delete("group_by");
    params.delete("limit");
    for (const [dimension, value, isNot] of chosen) if (!params.getAll(isNot ? `${dimension}!` : dimension).includes(value)) miss(`filter ${dimension} is not asked for: ${asked}`);
    const { total } = await api("GET", `/api/v1/usage?${params}`);
    const total_ = await page.getByTestId("explore-total").getAttribute("data-exact", { timeout: 1_000 }).catch(() => null);
    const told = total_ ?? (total.calls === 0 ? "0" : "nothing");
    const due = total.calls > 0 && total.unpriced_calls + total.unknown_calls === total.calls ? "" : trimmed(total.cost_usd);
    if (told !== due) miss(`/explore?${query}: ${told} is shown, ${due} is true`);
    await page.goto(`${url}/calls?${query}`);
    await settled(page);
    const calls = await page.getByTestId("calls-sum").innerText();
    if (!calls.startsWith(total.calls.toLocaleString("en"))) miss(`/calls?${query}: ${calls} is shown, ${total.calls} is true`);
  }
  await page.close();
}

/** All of it by keyboard. */
async function keyboard(context) {
  const page = await open(context, "/");
  await settled(page);
  const at = (what) => page.waitForURL(what, { timeout: 3_000 }).catch(() => miss(`keyboard: ${page.url()} instead of ${what}`));
  const press = async (...keys) => { for (const one of keys) await page.keyboard.press(one); };
  const shows = (what, sentence) => page.waitForSelector(what, { timeout: 3_000 }).catch(() => miss(`keyboard: ${sentence}`));
  const close = async () => {
    await press("Escape");
    await page.waitForSelector("dialog[open]", { state: "detached", timeout: 3_000 }).catch(() => miss("keyboard: Escape closes no dialog"));
  };
  const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
  await press("Tab");
  if ((await focused()) !== "skip") miss("keyboard: the first thing is not the way to the content");
  for (const [letter, path] of [["e", "/explore"], ["c", "/calls"], ["b", "/budgets"], ["k", "/keys"], ["p", "/prices"], ["s", "/settings"], ["o", "/"]]) {
    await press("g", letter);
    await at((to) => to.pathname === path);
  }
  await settled(page);
  await press("?");
  await shows("dialog[open]", "? shows no help");
  await close();
  await press("/");
  await shows("dialog[open] .filter-box", "/ opens no filter");
  await close();
  await press("d");
  await shows("html[data-theme='light']", "d changes no theme");
  await press("d", "d");
  await press("l");
  await shows(".live.is-paused", "l pauses nothing");
  await press("l");
  await settled(page);
  await page.locator(".plot").first().focus();
  await press("End", "ArrowLeft", "Shift+ArrowLeft", "Enter");
  await at((to) => to.pathname === "/calls" && /^\d{4}-\d\d-\d\d\.\.\d{4}-\d\d-\d\d$/.test(to.searchParams.get("range") ?? ""));
  await page.goto(`${url}/calls`);
  await settled(page);
  await press("j", "j", "k", "Enter");
  await at((to) => to.pathname.startsWith("/calls/"));
  await page.waitForSelector("dialog[open] [data-testid='drawer-cost']");
  await shows("dialog:focus-within", "the drawer does not take the focus");
  await close();
  await at((to) => to.pathname === "/calls");
  await shows("[data-row]:focus", "the drawer does not give the focus back");
  await page.goto(`${url}/explore?range=30d`);
  await settled(page);
  await press("[");
  await at((to) => (to.searchParams.get("range") ?? "").includes(".."));
  await press("t");
  await at((to) => to.searchParams.get("view") === "chart");
  await press("x");
  await shows("dialog[open] [data-testid='as-command']", "x exports nothing");
  await page.close();
}

/** Dragging over a chart leads to the calls in it. */
async function drag(context) {
  const page = await open(context, "/?range=30d");
  await settled(page);
  const box = await page.locator(".plot .u-over").first().boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 6 });
  await page.mouse.up();
  await page.waitForURL((to) => to.pathname === "/calls" && (to.searchParams.get("range") ?? "").includes(".."), { timeout: 3_000 }).catch(() => miss(`a drag leads to ${page.url()}`));
  await page.goBack();
  await page.waitForURL((to) => to.pathname === "/", { timeout: 3_000 }).catch(() => miss("back does not lead back"));
  await page.close();
}

/** A channel is made and tried; a budget that names it is passed, and somebody sees to the alert. */
async function alerts(context) {
  const page = await open(context, "/budgets?new=channel");
  await settled(page);
  await page.getByLabel("Name", { exact: true }).fill("to-the-log");
  await page.locator("dialog select").first().selectOption("log");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Send a test message to to-the-log" }).click();
  await page.locator("tr", { hasText: "to-the-log" }).locator(".badge.ok", { hasText: "delivered" }).waitFor({ timeout: 15_000 }).catch(() => miss("a test of a channel is not answered"));
  await api("POST", "/api/v1/budgets", { name: "seen-to", match: { user: "me" }, limit_usd: "0.01", window: "month", at_limit: "warn", warn_at: [50], notify: ["to-the-log"] });
  await api("POST", "/api/v1/events", { id: "seen-1", provider: "openai", model: "gpt-4o", usage: { input_tokens: 9000, output_tokens: 900 }, user: "me" });
  const row = page.locator("tr", { hasText: "seen-to" });
  await row.locator(".badge.ok", { hasText: "to-the-log delivered" }).waitFor({ timeout: 20_000 }).catch(() => miss("an alert does not come by itself, or is not delivered"));
  await row.locator("a").click();
  await page.getByRole("button", { name: "I see to it" }).click();
  await page.locator("dialog .badge", { hasText: "seen to" }).waitFor({ timeout: 5_000 }).catch(() => miss("an alert is not seen to"));
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector("dialog[open]"), null, { timeout: 3_000 }).catch(() => miss("an alert does not close"));
  // The limit is changed where it stands: what was told of the other one is over.
  await page.getByRole("link", { name: "seen-to" }).first().click();
  await page.locator("dialog input[name=limit]").fill("5.00");
  await page.getByRole("button", { name: "Change", exact: true }).click();
  await page.locator("dialog .sentence", { hasText: "may use $5 in each month" }).waitFor({ timeout: 5_000 }).catch(() => miss("a budget is not changed"));
  const { data } = await api("GET", "/api/v1/budgets");
  const changed = data.find(({ name }) => name === "seen-to");
  if (changed.limit_usd !== "5.00" || changed.notify.join() !== "to-the-log" || changed.warn_at.join() !== "50" || changed.at_limit !== "warn") miss(`a change changes more: ${JSON.stringify(changed)}`);
  await page.keyboard.press("Escape");
  await row.waitFor({ state: "detached", timeout: 15_000 }).catch(() => miss("an alert of a limit that was raised goes on"));
  // One that says no more than how much blocks, and tells whom it has refused.
  await api("POST", "/api/v1/budgets", { name: "shut", match: { user: "nobody" }, limit_usd: "0", window: "month" });
  const refused = await fetch(`${url}/api/v1/admit`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify({ provider: "openai", model: "gpt-4o", user: "nobody" }) });
  if (refused.status !== 402) miss(`a budget of nothing lets a call go: ${refused.status}`);
  await page.reload();
  const shut = page.locator(".budget", { hasText: "shut" });
  await shut.getByText("Used up: calls are blocked · 1 call refused").waitFor({ timeout: 5_000 }).catch(() => miss("a budget that blocks does not say so"));
  await shut.getByText("blocks · resets in").waitFor({ timeout: 5_000 }).catch(() => miss("a budget does not say what it does"));
  await page.close();
}

/** A model gets a price of its own: the next call has it, and those before when that is booked. */
async function price(context) {
  const unpriced = (id) => ({ id, provider: "acme", model: "house-model", usage: { input_tokens: 1_000_000, output_tokens: 500_000 } });
  await api("POST", "/api/v1/events", [unpriced("unpriced-1"), unpriced("unpriced-2")]);
  const page = await open(context, "/prices");
  await page.locator("tr", { hasText: "house-model" }).getByRole("link", { name: "Set price" }).click();
  const [input, output] = [page.locator("dialog input").nth(0), page.locator("dialog input").nth(1)];
  await input.fill("0.30");
  await output.fill("1.20");
  await page.getByRole("button", { name: "Set", exact: true }).click();
  await page.locator("dialog .notice", { hasText: "in force" }).waitFor({ timeout: 10_000 }).catch(() => miss("a price is not set"));
  await page.locator("dialog", { hasText: "2 recorded calls had no price" }).waitFor({ timeout: 10_000 }).catch(() => miss("it is not said what a price does to recorded calls"));
  await page.getByRole("button", { name: "Book it" }).click();
  await page.locator("dialog", { hasText: "2 calls cost $1.80 now" }).waitFor({ timeout: 10_000 }).catch(() => miss("recorded calls are not rated again"));
  const { results } = await api("POST", "/api/v1/events", [unpriced("priced-1")]);
  if (results[0].cost_usd !== "0.9") miss(`a price that was set is not in force: ${JSON.stringify(results)}`);
  await page.keyboard.press("Escape");
  await page.locator("li", { hasText: "house-model" }).first().waitFor({ timeout: 5_000 }).catch(() => miss("a price of one's own is not listed"));
  await page.close();
}

/** Somebody sees their own, and no hint of the others. */
async function member(browser) {
  const { key: theirs } = await api("POST", "/api/v1/keys", { name: "named", role: "member", user: names[0] });
  const context = await signedIn(browser, theirs);
  const page = await open(context);
  for (const where of ["/", "/explore?by=user", "/calls", "/settings", "/prices"]) {
    await page.goto(url + where);
    await settled(page);
    const text = await page.evaluate(() => document.body.innerText);
    for (const other of ["claude-code-budget", "Ünïcödé", "日本語のなまえ"]) if (text.includes(other)) miss(`${where} shows a member ${other}`);
    if (await page.locator(".nav a[href^='/keys'], .nav a[href^='/budgets']").count()) miss(`${where} leads a member to the admins' pages`);
  }
  await context.close();
  const frame = await open(await browser.newContext());
  await frame.goto(`${url}/widget#key=${theirs}`);
  await frame.waitForSelector(".widget dl", { timeout: 5_000 }).catch(() => miss("the widget shows nothing"));
  await frame.context().close();
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"] });
try {
  const turned = await welcome(browser);
  const all = events();
  const { rejected } = await api("POST", "/api/v1/events", all);
  rejected.forEach(({ id, detail }) => miss(`seed ${id}: ${detail}`));
  await api("POST", "/api/v1/budgets", { name: names[1], match: { user: names[0] }, limit_usd: "1.00", window: "month", at_limit: "block", warn_at: [80] });
  await api("POST", "/api/v1/budgets", { name: "claude-code-budget", limit_usd: "0.01", window: "month", at_limit: "warn" });
  await api("POST", "/api/v1/keys", { name: names[2], role: "viewer" });
  await api("POST", "/api/v1/members", { name: names[3], role: "viewer" });
  const context = await signedIn(browser);
  await keyboard(context);
  await drag(context);
  await alerts(context);
  await price(context);
  const seen = await hostile(context);
  await totals(context);
  await member(browser);
  const looked = await everywhere(context);
  const first = await open(context, "/");
  await settled(first);
  const bytes = await first.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => name.includes("/assets/")).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0));
  console.log(`${looked} looks at ${PAGES.length} pages, ${names.length} hostile names ${seen} times, ${FILTERS} filters, first event after ${turned} ms, ${Math.round(bytes / 1024)} KiB for the overview`);
} catch (error) {
  miss(String(error.stack));
} finally {
  await browser.close();
}
if (wrong.length > 0) {
  console.error([...new Set(wrong)].slice(0, 60).join("\n"));
  process.exit(1);
}
