// The film of one layer: a heat map for each gate, a column for each step, a row for each unit, longest memory first.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { share, signed } from "./colors";
import type { LayerFilm, Words } from "./protocol";

export interface Cell {
  step: number;
  row: number;
}
/** Steps and rows, both ends included. */
export interface Region {
  strip: string;
  steps: [number, number];
  rows: [number, number];
}
export type Bytes = Record<string, Uint8Array>;

export function decode(data: string): Uint8Array {
  return Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
}

/** The value that a byte stands for. */
export function valueOf(byte: number, isSigned: boolean, reach: number): number {
  return isSigned ? ((byte - 127) / 127) * reach : byte / 255;
}

const TITLES: Record<string, string> = {
  keep: "keep",
  reset: "reset",
  candidate: "candidate",
  state: "state",
  input: "input gate",
  output: "output gate",
  cell: "cell state",
};
const WORDS: Record<string, string> = {
  keep: "1: the old state stays; 0: it is overwritten",
  reset: "how much of the old state the candidate reads",
  candidate: "what is offered for writing",
  state: "what the unit says after the step",
  input: "1: the candidate is written",
  output: "1: the cell is shown",
  cell: "what is kept",
};

interface Props {
  layer: LayerFilm;
  steps: string[];
  bytes: Bytes;
  at: Cell | null;
  region: Region | null;
  column: number | null;
  words: Words;
  point: (cell: Cell | null, strip: string) => void;
  pick: (cell: Cell, strip: string) => void;
  select: (region: Region | null) => void;
  hold?: (strip: string, cell: Cell, value: number) => void; // without it gates are shown only
}

/** Draw values [T, H] into a canvas of one pixel for each cell, rows in the order of the units. */
function paint(canvas: HTMLCanvasElement, bytes: Uint8Array, order: number[], isSigned: boolean): void {
  const [units, steps] = [order.length, bytes.length / order.length];
  canvas.width = steps;
  canvas.height = units;
  const context = canvas.getContext("2d");
  if (!context || !steps) return;
  const image = context.createImageData(steps, units);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = isSigned ? signed.pixels : share.pixels;
  for (let row = 0; row < units; row++) {
    const unit = order[row]!;
    for (let step = 0; step < steps; step++) pixels[row * steps + step] = colors[bytes[step * units + unit]!]!;
  }
  context.putImageData(image, 0, 0);
}

export function FilmStrips(props: Props) {
  const { layer, steps, bytes, at, region, column } = props;
  const box = useRef<HTMLDivElement>(null);
  const canvases = useRef<Record<string, HTMLCanvasElement | null>>({});
  const [width, setWidth] = useState(0);
  const drag = useRef<{ strip: string; from: Cell; moved: boolean } | null>(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    for (const strip of layer.strips) {
      const canvas = canvases.current[strip.key];
      const values = bytes[strip.key];
      if (canvas && values) paint(canvas, values, layer.order, strip.signed);
    }
  }, [layer, bytes]);
  const count = Math.max(1, steps.length);
  const columnWidth = Math.min(110, Math.max(4, (width || 600) / count));
  const whole = columnWidth * count;
  const rowHeight = Math.min(9, Math.max(0.3, 112 / layer.units));
  const height = Math.round(rowHeight * layer.units);
  useEffect(() => {
    // Keeps the step in sight when it is chosen somewhere else.
    const element = box.current;
    const step = column ?? at?.step;
    if (!element || step === undefined || step === null || whole <= element.clientWidth) return;
    const left = step * columnWidth;
    if (left < element.scrollLeft || left > element.scrollLeft + element.clientWidth - columnWidth) element.scrollLeft = left - element.clientWidth / 2;
  }, [column, at?.step]);

  function cellOf(event: PointerEvent, canvas: Element): Cell {
    const area = canvas.getBoundingClientRect();
    const across = (event.clientX - area.left) / area.width;
    const down = (event.clientY - area.top) / area.height;
    return {
      step: Math.min(count - 1, Math.max(0, Math.floor(across * count))),
      row: Math.min(layer.units - 1, Math.max(0, Math.floor(down * layer.units))),
    };
  }
  function regionOf(strip: string, a: Cell, b: Cell): Region {
    return {
      strip,
      steps: [Math.min(a.step, b.step), Math.max(a.step, b.step)],
      rows: [Math.min(a.row, b.row), Math.max(a.row, b.row)],
    };
  }
  function key(event: KeyboardEvent) {
    const strip = region?.strip ?? layer.strips[0]!.key;
    const from = at ?? { step: 0, row: 0 };
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move) {
      event.preventDefault();
      const far = event.shiftKey ? 10 : 1;
      const cell = {
        step: Math.min(count - 1, Math.max(0, from.step + move[0] * far)),
        row: Math.min(layer.units - 1, Math.max(0, from.row + move[1] * far)),
      };
      props.point(cell, strip);
      props.pick(cell, strip);
      props.select(regionOf(strip, cell, cell));
    } else if (event.key === "Escape") {
      props.select(null);
    } else if (props.hold && (event.key === "0" || event.key === "1")) {
      props.hold(strip, from, Number(event.key));
    }
  }
  const mark = (cell: Cell) => ({
    left: `${cell.step * columnWidth}px`,
    top: `${cell.row * rowHeight}px`,
    width: `${columnWidth}px`,
    height: `${rowHeight}px`,
  });
  return (
    <div
      ref={box}
      class="film"
      tabIndex={0}
      role="application"
      aria-label={`Gates of ${layer.units} units over ${count} ${props.words.steps}. Arrow keys move${props.hold ? ", 0 and 1 hold the gate there, Escape clears" : ""}.`}
      onKeyDown={key}
      onPointerLeave={() => props.point(null, "")}
    >
      <StepNames steps={steps} width={columnWidth} at={column ?? at?.step ?? null} />
      {layer.strips.map((strip) => (
        <div key={strip.key} class="strip" style={{ minWidth: `${whole}px` }}>
          <span class="name">
            <b>{TITLES[strip.key] ?? strip.key}</b> <span class="film-words">{WORDS[strip.key] ?? ""}</span>
          </span>
          <div style={{ position: "relative", width: `${whole}px` }}>
            <canvas
              ref={(element) => {
                canvases.current[strip.key] = element;
              }}
              style={{ width: `${whole}px`, height: `${height}px` }}
              role="img"
              aria-label={strip.title}
              data-strip={strip.key}
              onPointerDown={(event) => {
                if (event.pointerType === "touch") return;
                const from = cellOf(event, event.currentTarget);
                drag.current = { strip: strip.key, from, moved: false };
                event.currentTarget.setPointerCapture(event.pointerId);
              }}
              onPointerMove={(event) => {
                const cell = cellOf(event, event.currentTarget);
                props.point(cell, strip.key);
                const begun = drag.current;
                if (begun && (cell.step !== begun.from.step || Math.abs(cell.row - begun.from.row) > 1)) {
                  begun.moved = true;
                  props.select(regionOf(strip.key, begun.from, cell));
                }
              }}
              onPointerUp={(event) => {
                const cell = cellOf(event, event.currentTarget);
                if (!drag.current?.moved) {
                  props.select(regionOf(strip.key, cell, cell));
                  props.pick(cell, strip.key);
                }
                drag.current = null;
              }}
            />
            {column !== null && <div class="here" style={{ left: `${column * columnWidth}px`, width: `${columnWidth}px` }} />}
            {at && <div class="mark" style={mark(at)} />}
            {region && region.strip === strip.key && (
              <div
                class="mark region"
                style={{
                  left: `${region.steps[0] * columnWidth}px`,
                  top: `${region.rows[0] * rowHeight}px`,
                  width: `${(region.steps[1] - region.steps[0] + 1) * columnWidth}px`,
                  height: `${(region.rows[1] - region.rows[0] + 1) * rowHeight}px`,
                }}
              />
            )}
          </div>
        </div>
      ))}
    </div>
  );
}

/** The steps above their columns: all where they fit, else every so many; the one in question always. */
function StepNames({ steps, width, at }: { steps: string[]; width: number; at: number | null }) {
  const longest = Math.max(1, ...steps.slice(0, 200).map((step) => [...step].length));
  const every = longest === 1 ? 1 : Math.max(1, Math.ceil((Math.min(longest, 12) * 7 + 4) / width));
  const fits = longest > 1 || width >= 5.5; // every letter or none: each second one reads as nonsense
  const ends = at !== null && longest > 1 && at > steps.length / 2; // the name in question ends with its column
  const clear = (k: number) => at === null || (ends && k < at ? at + 1 - k >= 2 * every : Math.abs(k - at) >= every);
  return (
    <div class="steps" style={{ width: `${width * steps.length}px`, ...(longest === 1 && width < 7.5 ? { fontSize: "9px" } : {}) }} aria-hidden="true">
      {steps.map((step, k) =>
        k === at || (k % every === 0 && fits && clear(k)) ? (
          <span key={k} class={k === at ? "at" : ""} style={{ ...(k === at && ends ? { right: `${(steps.length - 1 - k) * width}px` } : { left: `${k * width}px` }), minWidth: `${width * (k === at ? 1 : every)}px`, maxWidth: k === at ? "none" : `${width * every}px`, textAlign: longest > 1 ? "left" : "center" }}>
            {step === "␣" ? "·" : step}
          </span>
        ) : null,
      )}
    </div>
  );
}
