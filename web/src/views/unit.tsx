// One unit: its equations with the numbers of a step, its row of a table, and sliders that hold its gates.
import { useEffect, useState } from "preact/hooks";
import { engine } from "../engine";
import { valueOf, type Bytes, type Cell, type Region } from "../film";
import { digits, Segments, useQuiet } from "../parts";
import type { Edit, Film, LayerFilm, UnitNumbers } from "../protocol";

export function StepTable({ film, layer, bytes, step }: { film: Film; layer: LayerFilm; bytes: Bytes; step: number }) {
  return (
    <details>
      <summary>Table of {film.words.step} {step + 1}, “{film.steps[step]}”</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>unit</th>
              <th class="number">memory, {film.words.steps}</th>
              {layer.strips.map((strip) => <th key={strip.key} class="number">{strip.key}</th>)}
            </tr>
          </thead>
          <tbody>
            {layer.order.slice(0, 256).map((unit) => (
              <tr key={unit}>
                <td>{unit}</td>
                <td class="number">{digits(layer.tau[unit], 3)}</td>
                {layer.strips.map((strip) => (
                  <td key={strip.key} class="number">{valueOf(bytes[strip.key]![step * layer.units + unit]!, strip.signed, strip.reach).toFixed(2)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

export function UnitPanel(props: { film: Film; layer: LayerFilm; chosen: { cell: Cell; strip: string } | null; fires: number | null; setFires: (unit: number | null) => void }) {
  const { film, layer, chosen } = props;
  const [numbers, setNumbers] = useState<{ key: string; value: UnitNumbers } | null>(null);
  const step = chosen?.cell.step ?? null;
  const unit = chosen ? layer.order[chosen.cell.row]! : null;
  const key = step === null ? "" : `${layer.node} ${layer.depth} ${layer.direction} ${step} ${unit}`;
  const quiet = useQuiet(key, 40);
  useEffect(() => {
    if (quiet === "" || step === null || unit === null || quiet !== key) return;
    let current = true;
    engine.unit(film.run, layer, step, unit).then(
      (value) => current && setNumbers({ key, value }),
      () => current && setNumbers(null),
    );
    return () => {
      current = false;
    };
  }, [quiet]);
  return (
    <section class="card" aria-label="Equations" aria-live="polite">
      <div class="row spread">
        <h2>{unit === null ? "One unit" : `Unit ${unit}`}</h2>
        {unit !== null && (
          <button type="button" aria-pressed={props.fires === unit} onClick={() => props.setFires(props.fires === unit ? null : unit)}>
            Where it fires
          </button>
        )}
      </div>
      {unit === null || step === null ? (
        <>
          <p class="small soft">Point at the film: the equations fill with the numbers of that unit at that step.</p>
          <div class="equations soft">{layer.formulas.map((line) => <div key={line}>{line}</div>)}</div>
        </>
      ) : (
        <>
          <p class="small soft">
            at {film.words.step} {step + 1}, “{film.steps[step]}”; {layer.tau[unit] === null ? "nothing says how long it remembers" : `it forgets 63 % in ${digits(layer.tau[unit], 3)} ${film.words.steps}`}
          </p>
          {numbers ? <Equations layer={layer} numbers={numbers.value} /> : <div class="equations soft">…</div>}
        </>
      )}
    </section>
  );
}

function Equations({ layer, numbers }: { layer: LayerFilm; numbers: UnitNumbers }) {
  const { input, state, gates } = numbers;
  const n = (value: number | null | undefined) => digits(value, 3);
  const argument = (gate: string, times = "") => (input && state ? `${n(input[gate])} ${times ? "+ " + times + " ×" : "+"} ${n(state[gate])}` : "…");
  const G = ({ gate, f = "σ", times = "" }: { gate: string; f?: string; times?: string }) => (
    <div>
      {gate} = {f}({argument(gate, times)}) = <b>{n(gates[gate])}</b>
    </div>
  );
  const extra = numbers.zoneout ? <div class="soft">then zoneout keeps {numbers.zoneout} of the old</div> : null;
  if (layer.cell === "gru")
    return (
      <div class="equations">
        <G gate="r" />
        <G gate="z" />
        <G gate="n" f="tanh" times={numbers.reset_before ? "" : n(gates.r)} />
        <div>
          h′ = (1 − {n(gates.z)}) × {n(gates.n)} + {n(gates.z)} × <b class="warm">{n(numbers.before)}</b> = <b>{n(numbers.after)}</b>
        </div>
        {extra}
        <p class="small soft">In each bracket: what the input gives, and what the state before gives.</p>
      </div>
    );
  if (layer.cell === "mingru")
    return (
      <div class="equations">
        <div>z = σ({n(input?.z)}) = <b>{n(gates.z)}</b></div>
        <div>n = g({n(input?.n)}) = <b>{n(gates.n)}</b></div>
        <div>h′ = (1 − {n(gates.z)}) × {n(gates.n)} + {n(gates.z)} × <b class="warm">{n(numbers.before)}</b> = <b>{n(numbers.after)}</b></div>
      </div>
    );
  if (layer.cell === "lstm")
    return (
      <div class="equations">
        <G gate="i" />
        <G gate="f" />
        <G gate="g" f="tanh" />
        <G gate="o" />
        <div>c′ = {n(gates.f)} × <b class="warm">{n(numbers.cell_before)}</b> + {n(gates.i)} × {n(gates.g)} = <b>{n(numbers.cell_after)}</b></div>
        <div>h′ = {n(gates.o)} × tanh(c′) = <b>{n(numbers.after)}</b></div>
        {extra}
      </div>
    );
  return (
    <div class="equations">
      <div>h′ = {layer.cell === "rnn" ? "tanh" : "max(0, ·)"}({argument("n")}) = <b>{n(numbers.after)}</b></div>
      {extra}
    </div>
  );
}

export function HoldPanel(props: { film: Film; layer: LayerFilm; chosen: { cell: Cell; strip: string } | null; region: Region | null; bytes: Bytes; add: (edit: Edit) => void }) {
  const { film, layer, region, bytes } = props;
  const [wide, setWide] = useState<"cells" | "steps" | "units">("cells");
  if (!region || !props.chosen)
    return (
      <section class="card" aria-label="Hold a gate">
        <h2>Hold a gate</h2>
        <p class="small soft">Click a cell of the film, or draw a frame over several, then drag a slider: the model runs again with that gate held.</p>
      </section>
    );
  const cells: Region = {
    ...region,
    steps: wide === "steps" ? [0, film.steps.length - 1] : region.steps,
    rows: wide === "units" ? [0, layer.units - 1] : region.rows,
  };
  const [steps, units] = [cells.steps[1] - cells.steps[0] + 1, cells.rows[1] - cells.rows[0] + 1];
  const held = layer.strips.filter((strip) => strip.key !== "cell");
  const unit = layer.order[region.rows[0]]!;
  return (
    <section class="card" aria-label="Hold a gate">
      <h2>Hold a gate</h2>
      <p class="small soft">
        {units === 1 ? `unit ${unit}` : units === layer.units ? "all units" : `${units} units`} at {steps === 1 ? `${film.words.step} ${cells.steps[0] + 1}, “${film.steps[cells.steps[0]]}”` : steps === film.steps.length ? `all ${film.words.steps}` : `${film.words.steps} ${cells.steps[0] + 1} to ${cells.steps[1] + 1}`}
      </p>
      <Segments label="Reach" value={wide} options={[["cells", "Here"], ["steps", `All ${film.words.steps}`], ["units", "All units"]]} choose={setWide} />
      {held.map((strip) => {
        const now = valueOf(bytes[strip.key]![region.steps[0] * layer.units + unit]!, strip.signed, strip.reach);
        const least = strip.signed ? -1 : 0;
        return (
          <div class="slider" key={strip.key}>
            <span>{strip.key}</span>
            <input
              type="range"
              min={least}
              max={1}
              step={0.01}
              value={Math.max(least, Math.min(1, now))}
              aria-label={`Hold ${strip.key}`}
              onInput={(event) => props.add(editOf(layer, strip.key, { ...cells, strip: strip.key }, Number(event.currentTarget.value)))}
            />
            <span class="number">{now.toFixed(2)}</span>
          </div>
        );
      })}
      <div class="row">
        {held.filter((strip) => !strip.signed).flatMap((strip) => [0, 1].map((value) => (
          <button key={`${strip.key}${value}`} type="button" onClick={() => props.add(editOf(layer, strip.key, { ...cells, strip: strip.key }, value))}>
            {strip.key} = {value}
          </button>
        )))}
      </div>
    </section>
  );
}

/** Whole numbers, both ends included. */
export function span([from, to]: [number, number]): number[] {
  return Array.from({ length: to - from + 1 }, (_, k) => from + k);
}

/** What holds a gate, or sets a state, in the cells of a region. */
export function editOf(layer: LayerFilm, strip: string, region: Region, value: number): Edit {
  return { node: layer.node, depth: layer.depth, what: strip, units: span(region.rows).map((row) => layer.order[row]!), steps: span(region.steps), value };
}

