// Charts over time, drawn by uPlot: stacked bars, stacked areas, lines. It knows neither stacking nor readers; this wrapper
// does: a chart has a name, a cursor for arrow keys that is read out, and the pages show its table.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../lib/html.js";
import { pixels } from "../lib/money.js";
import { Name } from "./small.js";
import { isDark, theme } from "./theme.js";

/** @typedef {import("../lib/time.js").Bucket} Bucket */
/** @typedef {{name: string | null, rest?: boolean, label?: string, values: (bigint | number | null)[]}} Series */

/** A classic script of the page, as its package has it. @type {typeof import("uplot")} */
const Plot = /** @type {any} */ (globalThis).uPlot;

const [LEFT, RIGHT] = [58, 8];
const FONT = "11.5px ui-sans-serif, system-ui, sans-serif";

/** Steps of an axis that people can count in: up to five, from 0. @param {number} max */
export function steps(max) {
  if (!(max > 0)) return [0, 1];
  const rough = max / 4;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = /** @type {number} */ ([1, 2, 2.5, 5, 10].find((one) => one * size >= rough)) * size;
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, nth) => nth * step);
}

/** The width of an element, as it is now. @param {{current: Element | null}} ref */
function useWidth(ref) {
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(220, Math.round(entry.contentRect.width))));
    if (ref.current) watch.observe(ref.current);
    return () => watch.disconnect();
  }, []);
  return width;
}

/** How a series is called. @param {{series: Series}} props */
export const SeriesName = ({ series }) => (series.label || series.rest ? html`<span>${series.label ?? "Other"}</span>` : html`<${Name} of=${series.name} />`);

/** The class with a series' colour: by its place, and grey for the rest. @param {Series} series @param {number} nth */
export const colour = (series, nth) => (series.rest ? "c-rest" : `c${nth % 8}`);

/** What uPlot draws: the largest sums first, each over the one below it. @param {Series[]} series @param {number} count @param {boolean} stacks */
function drawn(series, count, stacks) {
  const base = new Array(count).fill(0);
  return series.map(({ values }) => values.slice(0, count).map((value, nth) => {
    if (!stacks) return value === null ? null : pixels(value);
    return (base[nth] += pixels(value));
  }));
}

/**
 * @param {{title: string, buckets: Bucket[], series: Series[], kind?: "bars" | "area" | "lines", unit: string,
 *   format: (value: any) => string, axis?: (value: number) => string, total?: (bigint | number | null)[], before?: (bigint | number | null)[] | null,
 *   onPick?: (from: Bucket, to: Bucket) => void, height?: number, note?: string}} props
 */
export function Chart({ title, buckets, series, kind = "bars", unit, format, axis, total, before = null, onPick, height = 240, note = "" }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const pick = useRef(onPick);
  pick.current = onPick;
  const width = useWidth(box);
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const [from, setFrom] = useState(/** @type {number | null} */ (null));
  const count = buckets.length;
  const tall = width < 480 ? 180 : height;
  // The values as one text: what is asked again and is the same is not drawn again.
  const state = JSON.stringify([buckets.map(({ key }) => key), series, before, kind, theme.value, isDark.value], (_, value) => (typeof value === "bigint" ? String(value) : value));
  const places = useMemo(() => buckets, [state]);

  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const paint = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    const tint = (/** @type {Series} */ one, /** @type {number} */ nth) => paint(one.rest ? "rest" : `c${nth % 8}`);
    const stacks = kind !== "lines";
    const rows = drawn(series, count, stacks);
    const past = before?.slice(0, count).map((value) => (value === null ? null : pixels(value)));
    const ticks = steps(Math.max(0, ...rows.flat().map((value) => value ?? 0), ...(past ?? []).map((value) => value ?? 0)));
    const every = Math.max(1, Math.ceil((count * 62) / Math.max(1, width - LEFT - RIGHT)));
    const lines = series.map((one, nth) => ({
      label: "", stroke: tint(one, nth), width: kind === "lines" ? 2 : 0, fill: stacks ? tint(one, nth) : undefined, points: { show: kind === "lines" && count === 1 },
      paths: kind === "bars" ? Plot.paths.bars?.({ size: [0.82, 56], gap: 1 }) : undefined,
    }));
    // What is drawn later lies above: the lowest of a stack comes last.
    const order = series.map((_, nth) => (stacks ? series.length - 1 - nth : nth));
    const pasts = past ? [{ label: "", stroke: paint("ink"), width: 1.5, dash: [4, 4], points: { show: false } }] : [];
    const axes = { font: FONT, stroke: paint("quiet"), ticks: { show: false }, border: { show: false } };
    const options = /** @type {any} */ ({
      width, height: tall, legend: { show: false }, padding: [10, RIGHT, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: Boolean(pick.current), y: false, setScale: false } },
      scales: { x: { time: false, range: [-0.5, count - 0.5] }, y: { range: [0, ticks[ticks.length - 1] || 1] } },
      series: [{}, ...order.map((nth) => lines[nth]), ...pasts],
      axes: [
        { ...axes, size: 26, gap: 6, grid: { show: false }, splits: () => places.map((_, nth) => nth).filter((nth) => nth % every === 0), values: (/** @type {any} */ _, /** @type {number[]} */ found) => found.map((nth) => places[nth]?.label ?? "") },
        { ...axes, size: LEFT, gap: 8, grid: { stroke: paint("line"), width: 1 }, splits: () => ticks, values: (/** @type {any} */ _, /** @type {number[]} */ found) => found.map((value) => (axis ?? String)(value)) },
      ],
      hooks: {
        setCursor: [(/** @type {any} */ self) => setAt(self.cursor.idx ?? null)],
        setSelect: [(/** @type {any} */ self) => {
          const { left, width: wide } = self.select;
          const place = (/** @type {number} */ px) => Math.max(0, Math.min(count - 1, Math.round(self.posToVal(px, "x"))));
          if (wide > 3) choose(place(left), place(left + wide));
          self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    });
    const data = /** @type {any} */ ([places.map((_, nth) => nth), ...order.map((nth) => rows[nth]), ...(past ? [past] : [])]);
    const made = new Plot(options, data, /** @type {HTMLElement} */ (box.current));
    made.root.setAttribute("aria-hidden", "true");
    // A click, without a drag, opens the one bucket.
    made.over.addEventListener("click", (/** @type {MouseEvent} */ event) => {
      if (event.detail > 0 && made.cursor.idx !== null && made.cursor.idx !== undefined && made.select.width <= 3) choose(made.cursor.idx, made.cursor.idx);
    });
    plot.current = made;
    return () => made.destroy();
  }, [state, width, tall]);

  const choose = (/** @type {number} */ one, /** @type {number} */ other) => {
    const [first, last] = [places[Math.min(one, other)], places[Math.max(one, other)]];
    if (first && last) pick.current?.(first, last);
  };
  /** Marks from one bucket to another, or nothing. @param {number | null} one @param {number} other */
  const mark = (one, other) => {
    const self = plot.current;
    const [low, high] = one === null ? [0, -1] : [Math.min(one, other), Math.max(one, other)];
    const left = self.valToPos(low - 0.5, "x");
    self.setSelect({ left, width: high < low ? 0 : self.valToPos(high + 0.5, "x") - left, top: 0, height: self.over.clientHeight }, false);
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    const moves = /** @type {Record<string, number>} */ ({ ArrowLeft: (at ?? count) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: count - 1 });
    const told = moves[event.key];
    if (told !== undefined && count > 0) {
      const to = Math.max(0, Math.min(count - 1, told));
      const begun = event.shiftKey && onPick ? from ?? at ?? to : null;
      setFrom(begun);
      plot.current.setCursor({ left: plot.current.valToPos(to, "x"), top: 10 });
      mark(begun, to);
    } else if (event.key === "Enter" && at !== null && onPick) {
      choose(from ?? at, at);
    } else if (event.key === "Escape" && at !== null) {
      setFrom(null);
      mark(null, 0);
      plot.current.setCursor({ left: -10, top: -10 });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const said = at === null ? "" : `${places[at]?.full}: ${format(total?.[at] ?? null)}`;
  const left = LEFT + ((width - LEFT - RIGHT) * ((at ?? 0) + 0.5)) / Math.max(1, count);
  return html`<figure class="chart" aria-label=${title}>
    <div class="plot" ref=${box} role="application" tabindex="0" aria-roledescription="chart" onKeyDown=${key}
      aria-label=${`${title}, ${unit}, ${count} steps${note && `, ${note}`}. Arrow keys move${onPick ? ", Enter opens the calls, Shift marks several" : ""}.`}>
      ${at !== null && html`<${Tip} ...${{ buckets: places, series, at, total, before, format, left, width }} />`}
    </div>
    <div class="sr" aria-live="polite">${said}</div>
    ${note && html`<p class="axis-note">${note}</p>`}
  </figure>`;
}

/** What stands in a bucket, the largest first. @param {any} props */
function Tip({ buckets, series, at, total, before, format, left, width }) {
  const rows = series.map((/** @type {Series} */ one, /** @type {number} */ nth) => ({ one, nth, value: one.values[at] ?? null }))
    .filter((/** @type {any} */ { value }) => value !== null && pixels(value) !== 0).sort((/** @type {any} */ a, /** @type {any} */ b) => pixels(b.value) - pixels(a.value));
  const style = left > width / 2 ? { right: `${width - left + 12}px` } : { left: `${left + 12}px` };
  return html`<div class="tip" style=${style}>
    <strong>${buckets[at]?.full}</strong>
    <table><tbody>${rows.map((/** @type {any} */ { one, nth, value }) => html`<tr><td><i class=${`dot ${colour(one, nth)}`}></i><${SeriesName} series=${one} /></td><td class="num">${format(value)}</td></tr>`)}</tbody>
    <tfoot>${total && html`<tr><td>Total</td><td class="num">${format(total[at] ?? null)}</td></tr>`}${before && html`<tr class="quiet"><td>Period before</td><td class="num">${format(before[at] ?? null)}</td></tr>`}</tfoot></table>
  </div>`;
}

/** @param {{series: Series[], onPick?: (series: Series, isNot: boolean) => void}} props */
export const Legend = ({ series, onPick }) => html`<ul class="legend">${series.map((one, nth) => html`<li>
  ${onPick && !one.rest ? html`<button title="Click: only this · Alt-click: all but this" onClick=${(/** @type {MouseEvent} */ event) => onPick(one, event.altKey)}><i class=${`dot ${colour(one, nth)}`}></i><${SeriesName} series=${one} /></button>`
    : html`<span><i class=${`dot ${colour(one, nth)}`}></i><${SeriesName} series=${one} /></span>`}</li>`)}</ul>`;

/** A line without words: what a number did lately. @param {{values: (bigint | number | null)[], kind?: string}} props */
export function Spark({ values, kind = "" }) {
  const heights = values.map(pixels);
  const max = Math.max(...heights, 0) || 1;
  const points = heights.map((value, nth) => `${((nth / Math.max(1, heights.length - 1)) * 100).toFixed(1)},${(23 - (value / max) * 21).toFixed(1)}`);
  return html`<svg class=${`spark ${kind}`} viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true"><polygon points=${`0,24 ${points.join(" ")} 100,24`} /><polyline points=${points.join(" ")} /></svg>`;
}
