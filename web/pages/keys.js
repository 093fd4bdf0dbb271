// Keys for programs and members for people: making them, showing a key once, ending them.
import { useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { at, isAdmin, send, useData } from "../lib/api.js";
import * as live from "../lib/live.js";
import { costOf } from "../lib/money.js";
import { learnNames } from "../lib/names.js";
import { now, scope } from "../lib/query.js";
import { ago, exact, instant, keyOf } from "../lib/time.js";
import { changed, go, onwards, place } from "../lib/url.js";
import { Spark } from "../parts/chart.js";
import { Dialog } from "../parts/dialog.js";
import { Card, Cost, Empty, Failed, Name, Shown, Snippet } from "../parts/small.js";

export const title = "Keys & members";
/** @type {string[]} */
export const has = [];

const ROLES = /** @type {[string, string][]} */ ([["gateway+ingest", "calls models and sends events"], ["gateway", "calls models"], ["ingest", "sends events"], ["viewer", "reads everything"], ["member", "reads one user's own"], ["admin", "everything"]]);
const BOUND = ["project", "user", "agent", "customer"];

export function Page() {
  const { params } = place.value;
  const keys = useData("/api/v1/keys", live.pulse.value);
  const members = useData("/api/v1/members");
  const month = [["from", "30d"]];
  const sums = useData(at("/api/v1/usage", /** @type {[string, string][]} */ ([...month, ["group_by", "key"], ["limit", "1000"]])), live.pulse.value);
  const days = useData(at("/api/v1/usage", /** @type {[string, string][]} */ ([...month, ["group_by", "key"], ["interval", "day"], ["limit", "100"]])), live.pulse.value);
  const users = useData(at("/api/v1/usage", /** @type {[string, string][]} */ ([...month, ["group_by", "user"], ["limit", "1000"]])));
  if (!isAdmin()) return html`<${Empty} title="Keys are for admins." />`;
  const close = () => go(changed({ new: null }));
  const sumOf = (/** @type {any} */ asked, /** @type {string} */ by, /** @type {string} */ value) => asked.data?.rows.find((/** @type {any} */ row) => row[by] === value);
  const daysOf = (/** @type {string} */ id) => {
    const places = [...new Set((days.data?.rows ?? []).map((/** @type {any} */ row) => keyOf(row.bucket, "day")))].sort();
    const found = new Map((days.data?.rows ?? []).filter((/** @type {any} */ row) => row.key === id).map((/** @type {any} */ row) => [keyOf(row.bucket, "day"), costOf(row)]));
    return places.map((place) => found.get(place) ?? 0n);
  };
  const isOver = (/** @type {any} */ key) => key.revoked_at || (key.expires_at && Date.parse(key.expires_at) <= now.value);
  const all = params.get("ended") === "1";
  const shown = (keys.data?.data ?? []).filter((/** @type {any} */ key) => all || !isOver(key));
  const ended = (keys.data?.data ?? []).filter(isOver).length;
  return html`<${Card} title="Keys" tools=${html`${ended > 0 && html`<a href=${changed({ ended: all ? null : "1" })}>${all ? "Hide" : "Show"} ${ended} ended</a>`}<a class="button main" href=${changed({ new: "key" })}>New key</a>`}>
    <${Shown} asked=${keys}>${() => html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">Name</th><th scope="col">Begins with</th><th scope="col">Role</th><th scope="col">Bound to</th><th scope="col">Made</th><th scope="col" class="num">30 days</th><th scope="col"><span class="sr">Trend</span></th><th scope="col"><span class="sr">Acts</span></th></tr></thead>
      <tbody>${shown.map((/** @type {any} */ key) => html`<tr key=${key.id}><td class="strong"><a data-row href=${onwards("/calls", { f: [`key:${key.id}`], range: "30d" })}><${Name} of=${key.name} /></a></td><td data-label="Begins with"><code>${key.prefix}…</code></td><td data-label="Role">${key.role}</td>
        <td data-label="Bound to">${[...BOUND, "operation"].filter((one) => key[one]).map((one) => html`<span class="tag">${one}=<${Name} of=${key[one]} /></span>`)}${Object.entries(key.tags ?? {}).map(([name, value]) => html`<span class="tag"><${Name} of=${name} />=<${Name} of=${value} /></span>`)}</td>
        <td data-label="Made" title=${exact(key.created_at, scope.value.tz)}>${ago(now.value - Date.parse(key.created_at))}</td><td class="num cost">${sumOf(sums, "key", key.id) ? html`<${Cost} row=${sumOf(sums, "key", key.id)} />` : html`<span class="quiet">–</span>`}</td>
        <td class="spark-cell">${sumOf(sums, "key", key.id) && html`<${Spark} values=${daysOf(key.id)} />`}</td><td><${Acts} thing=${key} isOver=${isOver(key)} again=${keys.again} /></td></tr>`)}</tbody></table></div>`}<//><//>
  <${Card} title="Members" tools=${html`<a class="button main" href=${changed({ new: "member" })}>Invite somebody</a>`}>
    <${Shown} asked=${members}>${(/** @type {any} */ { data }) => (data.length === 0 ? html`<${Empty} title="Nobody yet."><p>People sign in with a one-time link, and see what their role lets them.</p><//>`
    : html`<div class="wide-table"><table class="data"><thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">User</th><th scope="col">Project</th><th scope="col">Added</th><th scope="col" class="num">30 days</th><th scope="col"><span class="sr">Acts</span></th></tr></thead>
      <tbody>${data.map((/** @type {any} */ member) => html`<tr key=${member.id}><td class="strong"><${Name} of=${member.name} /></td><td data-label="Role">${member.role}</td><td data-label="User">${member.user && html`<${Name} of=${member.user} />`}</td><td data-label="Project">${member.project && html`<${Name} of=${member.project} />`}</td>
        <td data-label="Added">${ago(now.value - Date.parse(member.created_at))}</td><td class="num cost">${sumOf(users, "user", member.user) && member.user ? html`<${Cost} row=${sumOf(users, "user", member.user)} />` : html`<span class="quiet">–</span>`}</td><td><${MemberActs} member=${member} again=${members.again} /></td></tr>`)}</tbody></table></div>`)}<//><//>
  ${params.get("new") === "key" && html`<${NewKey} onClose=${() => { close(); keys.again(); learnNames(); }} />`}
  ${params.get("new") === "member" && html`<${NewMember} onClose=${() => { close(); members.again(); }} />`}`;
}

/** Everything that a new key can be pasted into. @param {{text: string}} props */
function Told({ text }) {
  const { origin } = location;
  const [way, setWay] = useState("env");
  const ways = /** @type {Record<string, [string, string]>} */ ({
    env: ["Environment", `export OPENAI_BASE_URL=${origin}/openai/v1 OPENAI_API_KEY=${text}`],
    claude: ["Claude Code", `export ANTHROPIC_BASE_URL=${origin}/anthropic ANTHROPIC_AUTH_TOKEN=${text}`],
    python: ["OpenAI, Python", `from openai import OpenAI\nclient = OpenAI(base_url="${origin}/openai/v1", api_key="${text}")`],
    js: ["OpenAI, JavaScript", `import OpenAI from "openai";\nconst client = new OpenAI({ baseURL: "${origin}/openai/v1", apiKey: "${text}" });`],
    anthropic: ["Anthropic, Python", `from anthropic import Anthropic\nclient = Anthropic(base_url="${origin}/anthropic", api_key="${text}")`],
    curl: ["curl", `curl -s ${origin}/api/v1/events -H "authorization: Bearer ${text}" -H 'content-type: application/json' \\\n  -d '{"id":"hello-1","provider":"openai","model":"gpt-4o","usage":{"input_tokens":1200,"output_tokens":300}}'`],
  });
  return html`<div class="form"><p class="notice">This is the only time that the key is shown: only a digest of it is kept.</p><${Snippet} text=${text} id="new-key" />
    <div class="tabs" role="group" aria-label="Where it goes">${Object.entries(ways).map(([name, [label]]) => html`<button aria-pressed=${way === name} aria-selected=${null} class=${way === name ? "on" : ""} onClick=${() => setWay(name)}>${label}</button>`)}</div><${Snippet} text=${ways[way]?.[1] ?? ""} /></div>`;
}

/** @param {{thing: import("../lib/api.js").Shapes["Key"], isOver: boolean, again: () => void}} props */
function Acts({ thing, isOver, again }) {
  const [asks, setAsks] = useState("");
  const [told, setTold] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const base = `/api/v1/keys/${encodeURIComponent(thing.id)}`;
  const close = () => { setAsks(""); setTold(""); setError(null); again(); };
  const act = () => (asks === "rotate" ? send("POST", `${base}/rotate`).then((made) => setTold(made.key), setError) : send("DELETE", base).then(close, setError));
  if (isOver) return html`<span class="badge">ended</span>`;
  return html`<span class="acts"><button class="plain" onClick=${() => setAsks("rotate")}>New text</button><button class="plain" onClick=${() => setAsks("revoke")}>End</button></span>
    ${asks && html`<${Dialog} title=${asks === "rotate" ? "Give the key another text" : "End the key"} onClose=${close}>${told ? html`<${Told} text=${told} />` : html`<div class="form"><p>${asks === "rotate" ? html`The text of <${Name} of=${thing.name} /> that programs have now opens nothing any more, at once.` : html`<${Name} of=${thing.name} /> opens nothing any more, at once. Its calls stay in the books.`}</p>
      ${error && html`<${Failed} error=${error} />`}<div class="actions"><button onClick=${close}>Cancel</button><button class="danger" onClick=${act}>${asks === "rotate" ? "Make another text" : "End it"}</button></div></div>`}<//>`}`;
}

/** @param {{member: import("../lib/api.js").Shapes["Member"], again: () => void}} props */
function MemberActs({ member, again }) {
  const [asks, setAsks] = useState("");
  const [link, setLink] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const base = `/api/v1/members/${encodeURIComponent(member.id)}`;
  const close = () => { setAsks(""); setLink(null); setError(null); again(); };
  const invite = () => { setAsks("link"); send("POST", `${base}/link`).then(setLink, setError); };
  return html`<span class="acts"><button class="plain" onClick=${invite}>Sign-in link</button><button class="plain" onClick=${() => setAsks("remove")}>Remove</button></span>
    ${asks && html`<${Dialog} title=${asks === "link" ? "Sign-in link" : "Remove"} onClose=${close}>${error && html`<${Failed} error=${error} />`}${asks === "link" ? link && html`<${LinkTold} link=${link} name=${member.name} />`
      : html`<div class="form"><p><${Name} of=${member.name} /> is signed out everywhere, at once.</p><div class="actions"><button onClick=${close}>Cancel</button><button class="danger" onClick=${() => send("DELETE", base).then(close, setError)}>Remove</button></div></div>`}<//>`}`;
}

/** @param {{link: any, name: string}} props */
const LinkTold = ({ link, name }) => html`<div class="form"><p>For <${Name} of=${name} />: good once, until ${instant(link.expires_at, scope.value.tz)}. It is shown this once.</p><${Snippet} text=${location.origin + link.path} /></div>`;

/** @param {{onClose: () => void}} props */
function NewKey({ onClose }) {
  const [told, setTold] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const make = (/** @type {any} */ event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const pairs = [...form].filter(([, value]) => value !== "").map(([key, value]) => [key, String(value)]);
    const body = Object.fromEntries(pairs);
    if (body.days) Object.assign(body, { expires_at: new Date(Date.now() + Number(body.days) * 86_400_000).toISOString() });
    delete body.days;
    send("POST", "/api/v1/keys", { body }).then((made) => setTold(made.key), setError);
  };
  return html`<${Dialog} title=${told ? "The new key" : "New key"} onClose=${onClose}>${told ? html`<${Told} text=${told} />` : html`<form class="form" onSubmit=${make}>
    <div class="row"><label class="wide">Name <input name="name" required maxlength="100" autofocus placeholder="ci" /></label><label>Ends <select name="days"><option value="">never</option><option value="30">in 30 days</option><option value="90">in 90 days</option><option value="365">in a year</option></select></label></div>
    <label>May <select name="role">${ROLES.map(([role, what]) => html`<option value=${role}>${role}: ${what}</option>`)}</select></label>
    <fieldset><legend>Bound to: written on every call of it</legend><div class="row">${BOUND.map((one) => html`<label class="wide">${one} <input name=${one} /></label>`)}</div></fieldset>
    ${error && html`<${Failed} error=${error} />`}<div class="actions"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Make the key</button></div></form>`}<//>`;
}

/** @param {{onClose: () => void}} props */
function NewMember({ onClose }) {
  const [role, setRole] = useState("member");
  const [made, setMade] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const make = async (/** @type {any} */ event) => {
    event.preventDefault();
    const body = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
    try {
      const member = await send("POST", "/api/v1/members", { body });
      setMade({ name: member.name, link: await send("POST", `/api/v1/members/${encodeURIComponent(member.id)}/link`) });
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<${Dialog} title="Invite somebody" onClose=${onClose}>${made ? html`<${LinkTold} ...${made} />` : html`<form class="form" onSubmit=${make}>
    <label>Name <input name="name" required maxlength="100" autofocus /></label>
    <div class="row"><label>Role <select name="role" value=${role} onChange=${(/** @type {any} */ event) => setRole(event.target.value)}><option value="member">member: sees their own</option><option value="viewer">viewer: sees all</option><option value="admin">admin: may everything</option></select></label>
      <label class="wide">User that they are <input name="user" required=${role === "member"} /></label>${role !== "admin" && html`<label class="wide">Only this project <input name="project" /></label>`}</div>
    ${error && html`<${Failed} error=${error} />`}<div class="actions"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Invite</button></div></form>`}<//>`;
}
