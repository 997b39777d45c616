// Who answers the views: the server that the page came from, or, in a page without one, the models that came with it.
import { Fault, type Adapted, type AdaptProgress, type Classified, type Composition, type Edit, type Engine, type Film, type Forecast, type GameAsk, type GameView, type Heard, type LayerFilm, type ModelEntry, type Overheard, type Row, type RunView, type Shares, type Task, type Translated, type UnitNumbers, type Watched, type WhatIf } from "./protocol";
import { SiteEngine, type Site } from "./site";
import { watchRun, writeText } from "./socket";
import { askStream } from "./stream";

/** Asks the server that the page came from. */
export class ServerEngine implements Engine {
  readonly trains = true;
  readonly served = true;

  async models(): Promise<ModelEntry[]> {
    return (await this.ask<{ data: ModelEntry[] }>("GET", "/models")).data;
  }
  explore(model: string, text: string | null): Promise<Film> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/explore`, text === null ? {} : { text });
  }
  shares(run: string, at: number | null, target: number | null, trust: boolean): Promise<Shares> {
    return this.ask("POST", `/explore/${run}/shares`, { at, target, trust });
  }
  unit(run: string, layer: LayerFilm, step: number, unit: number): Promise<UnitNumbers> {
    const { node, depth, direction } = layer;
    return this.ask("POST", `/explore/${run}/unit`, { node, depth, direction, step, unit });
  }
  whatIf(run: string, edits: Edit[], options: { n: number; temperature: number; seed: number; source?: string }): Promise<WhatIf> {
    return this.ask("POST", `/explore/${run}/what-if`, { edits, ...options });
  }
  game(model: string, ask: GameAsk): Promise<GameView> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/game`, ask);
  }
  adapt(model: string, player: string, pgn: string, take: (progress: AdaptProgress) => void, signal: AbortSignal): Promise<Adapted> {
    return askStream(`/models/${encodeURIComponent(model)}/adapt`, { player, pgn, stream: true }, take, signal);
  }
  async writePgn(ask: GameAsk): Promise<string> {
    return (await this.ask<{ pgn: string }>("POST", "/chess/pgn", { game: ask })).pgn;
  }
  readPgn(text: string): Promise<{ moves: string[]; white: string | null; black: string | null; fen: string | null }> {
    return this.ask("POST", "/chess/pgn", { text });
  }
  forecast(model: string, ask: { series?: string; csv?: string; cutoff?: number }): Promise<Forecast> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/forecast`, ask);
  }
  compose(model: string, ask: Record<string, unknown>): Promise<Composition> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/compose`, ask);
  }
  classify(model: string, text: string): Promise<Classified> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/classify`, { text });
  }
  translate(model: string, text: string): Promise<Translated> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/translate`, { text });
  }
  talk(model: string, turns: string[]): Promise<{ kind: string; turns: Record<string, unknown>[] }> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/talk`, { turns });
  }
  hear(model: string, recording: Blob, name: string): Promise<Heard> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/hear?name=${encodeURIComponent(name)}`, recording);
  }
  listen(model: string, rate: number): Promise<{ stream: string | null }> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/listen?rate=${rate}`);
  }
  overhear(stream: string, samples: Float32Array, last: boolean): Promise<Overheard> {
    return this.ask("POST", `/listen/${stream}?last=${last}`, new Blob([samples.slice().buffer]));
  }
  watch(model: string, clip: Blob, name: string): Promise<Watched> {
    return this.ask("POST", `/models/${encodeURIComponent(model)}/watch?name=${encodeURIComponent(name)}`, clip);
  }
  async tasks(): Promise<Task[]> {
    return (await this.ask<{ tasks: Task[] }>("GET", "/tasks")).tasks;
  }
  run(name: string): Promise<RunView> {
    return this.ask("GET", `/runs/${encodeURIComponent(name)}`);
  }
  rows(name: string, after: number): Promise<{ rows: Row[]; after: number }> {
    return this.ask("GET", `/runs/${encodeURIComponent(name)}/metrics?after=${after}`);
  }
  start(task: string, data: string[], settings: Record<string, unknown>): Promise<{ name: string; command: string }> {
    return this.ask("POST", "/runs", { task, data, settings });
  }
  stop(name: string): Promise<unknown> {
    return this.ask("POST", `/runs/${encodeURIComponent(name)}/stop`, {});
  }
  resume(name: string): Promise<unknown> {
    return this.ask("POST", `/runs/${encodeURIComponent(name)}/resume`, {});
  }
  send(file: File): Promise<{ path: string }> {
    return this.ask("PUT", `/files/${encodeURIComponent(file.name)}`, file);
  }

  follow = watchRun;
  write = writeText;
  async proof(): Promise<null> {
    return null;
  }

  private async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const raw = body instanceof Blob;
    let answer: Response;
    try {
      answer = await fetch(`v1${path}`, {
        method,
        ...(body === undefined ? {} : { body: raw ? (body as Blob) : JSON.stringify(body) }),
        headers: body === undefined || raw ? {} : { "content-type": "application/json" },
      });
    } catch {
      throw new Fault("connection", "The server does not answer: start it again with congru serve, this page goes on.");
    }
    const content = (await answer.json().catch(() => null)) as { error?: { code: string; message: string } } | null;
    if (!answer.ok || content === null) {
      const error = content?.error;
      throw new Fault(error?.code ?? "server", error?.message ?? `The server answered ${answer.status}.`);
    }
    return content as T;
  }
}

const site = (globalThis as { congruSite?: Site }).congruSite;
export const engine: Engine = site ? new SiteEngine(site) : new ServerEngine();
