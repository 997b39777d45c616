// Curves: uPlot in the colours of the page, with a table of the same numbers.
import uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";
import { useLatest } from "./parts";

export interface Line {
  label: string;
  values: (number | null | undefined)[];
  color: string;
  dash?: number[];
  width?: number;
  fill?: [number, string];
  points?: boolean;
}
interface Props {
  x: number[];
  lines: Line[];
  label: string;
  xLabel?: string;
  names?: string[];
  height?: number;
  mark?: number;
  log?: boolean;
}

export function inkOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A colour as the canvas takes it: the value of a variable of the page, or itself. */
function paint(color: string): string {
  return color.startsWith("--") ? inkOf(color) : color;
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useLatest(props);
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const changed = () => setTheme((n) => n + 1);
    addEventListener("themechange", changed);
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", changed);
    return () => {
      removeEventListener("themechange", changed);
      media.removeEventListener("change", changed);
    };
  }, []);
  const shape = props.lines.map((line) => line.label).join("\n") + props.log;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const { lines, names, xLabel, height = 280, log } = latest.current;
    const axis = { stroke: inkOf("--soft"), grid: { stroke: inkOf("--line"), width: 1 }, ticks: { stroke: inkOf("--line"), width: 1 }, font: "12px system-ui" };
    const shown = (at: number) => (names ? (latest.current.names?.[Math.round(at)] ?? "") : String(at));
    const options: uPlot.Options = {
      width: Math.max(200, element.clientWidth),
      height,
      padding: [12, names ? 34 : 12, null, null],
      scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
      axes: [
        { ...axis, label: xLabel ?? "", labelSize: xLabel ? 18 : 0, size: 30, labelFont: "12px system-ui", space: 90, values: (_, at) => at.map((one) => (names && !Number.isInteger(one) ? "" : shown(one))) },
        { ...axis, size: 62, values: (_, at) => at.map((one) => (one === null ? "" : String(Number(one.toPrecision(4))))) },
      ],
      series: [
        { label: xLabel ?? "at", value: (_, value) => (value === null ? "" : shown(value)) },
        ...lines.map((line) => ({
          label: line.label,
          stroke: paint(line.color),
          width: line.width ?? 2,
          dash: line.dash ?? [],
          points: { show: line.points ?? false, size: 5 },
          spanGaps: true,
          value: (_: uPlot, value: number | null) => (value === null ? "" : String(Number(value.toPrecision(5)))),
        })),
      ],
      bands: lines.flatMap((line, k) => (line.fill ? [{ series: [k + 1, line.fill[0] + 1] as [number, number], fill: paint(line.fill[1]) }] : [])),
      hooks: {
        draw: [
          (u) => {
            const at = latest.current.mark;
            if (at === undefined) return;
            const left = u.valToPos(at, "x", true);
            u.ctx.save();
            u.ctx.strokeStyle = inkOf("--soft");
            u.ctx.setLineDash([4, 4]);
            u.ctx.beginPath();
            u.ctx.moveTo(left, u.bbox.top);
            u.ctx.lineTo(left, u.bbox.top + u.bbox.height);
            u.ctx.stroke();
            u.ctx.restore();
          },
        ],
      },
      cursor: { drag: { x: false, y: false } },
      legend: { markers: { dash: (u, k) => (u.series[k]?.dash?.length ? "dashed" : "solid") } },
    };
    const made = new uPlot(options, data(latest.current), element);
    lines.forEach((line, k) => line.color === "--edge" && element.querySelectorAll(".u-legend .u-series")[k + 1]?.classList.add("edge"));
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(200, element.clientWidth), height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, theme]);
  useEffect(() => plot.current?.setData(data(props)), [props.x, props.lines]);
  return (
    <div class="stack">
      <div ref={box} class="chart" role="img" aria-label={props.label} />
      <details>
        <summary>Table of these numbers</summary>
        <ChartTable {...props} />
      </details>
    </div>
  );
}

function ChartTable({ x, lines, names, xLabel }: Props) {
  const every = Math.max(1, Math.ceil(x.length / 200));
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th>{xLabel ?? "at"}</th>
            {lines.map((line) => <th key={line.label} class="number">{line.label}</th>)}
          </tr>
        </thead>
        <tbody>
          {x.map((at, k) => k % every === 0 && (
            <tr key={k}>
              <td>{names?.[at] ?? at}</td>
              {lines.map((line) => <td key={line.label} class="number">{line.values[k] == null ? "" : Number(line.values[k]!.toPrecision(5))}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function data(props: Props): uPlot.AlignedData {
  return [props.x, ...props.lines.map((line) => line.values.map((value) => value ?? null))] as uPlot.AlignedData;
}
