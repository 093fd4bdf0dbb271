// A list of bars: names, amounts, shares, the largest first, each leading to what it counts.
import { html } from "../lib/html.js";
import { pixels, share } from "../lib/money.js";
import { Name } from "./small.js";

/** @typedef {{name: string | null, label?: string, value: bigint | number | null, href?: string, parts?: {value: bigint | number, colour: string, title: string}[]}} Bar */

/**
 * @param {{bars: Bar[], whole: bigint | number | null, format: (value: any) => any, none?: string}} props
 */
export function Bars({ bars, whole, format, none }) {
  const max = Math.max(...bars.map(({ value }) => pixels(value)), 0) || 1;
  return html`<ol class="bars">${bars.map(({ name, label, value, href, parts }) => html`<li>
    ${href ? html`<a href=${href}>${label ?? html`<${Name} of=${name} none=${none} />`}</a>` : html`<span>${label ?? html`<${Name} of=${name} none=${none} />`}</span>`}
    <span class="num">${format(value)}</span><span class="num quiet">${value && share(value, whole)}</span>
    <span class="track" aria-hidden="true">${parts
      ? parts.map((part) => html`<i class=${part.colour} title=${part.title} style=${{ width: `${(pixels(part.value) / max) * 100}%` }}></i>`)
      : value && html`<i class="c0" style=${{ width: `${(pixels(value) / max) * 100}%` }}></i>`}</span>
  </li>`)}</ol>`;
}
