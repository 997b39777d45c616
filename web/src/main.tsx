// The page: what is at the top, and which view the address asks for.
import "./style.css";
import "uplot/dist/uPlot.min.css";
import { Component, render, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { engine } from "./engine";
import { address, Notice, useAnswer, useRoute, VIEWS, NAMES } from "./parts";
import { Chess } from "./views/chess";
import { Compare } from "./views/compare";
import { Explorer } from "./views/explorer";
import { ForecastView } from "./views/forecast";
import { Home } from "./views/home";
import { Sentiment, Talk, Translate } from "./views/language";
import { Music } from "./views/music";
import { Hear, Watch } from "./views/recordings";
import { RunPage } from "./views/run";
import { Train } from "./views/train";
import { Write } from "./views/write";

type Theme = "auto" | "light" | "dark";
const NEXT: Record<Theme, Theme> = { auto: "dark", dark: "light", light: "auto" };

function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(() => (localStorage.getItem("theme") as Theme | null) ?? "auto");
  useEffect(() => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    dispatchEvent(new Event("themechange"));
  }, [theme]);
  return [theme, () => setTheme(NEXT[theme])];
}

/** Keeps a fault of one view from taking the page with it. */
class Fence extends Component<{ children: ComponentChildren }, { fault: string | null }> {
  state = { fault: null };
  componentDidCatch(error: unknown) {
    console.error(error);
    this.setState({ fault: String(error) });
  }
  render() {
    if (this.state.fault === null) return this.props.children;
    return (
      <Notice kind="bad">
        This view failed ({this.state.fault}). <a href="#/">Go home</a>, or load the page again.
      </Notice>
    );
  }
}

/** Views that a page without a server can answer. */
const HERE = ["write", "forecast"];

/** Of a page without a server: how far the browser is from NumPy, and what is not here. */
function InBrowser({ model, own }: { model: string; own: boolean }) {
  const { answer, fault } = useAnswer(`proof ${model}`, () => engine.proof(model));
  const left = Object.entries(answer?.left ?? {});
  return (
    <div class="stack small">
      {fault && <Notice kind="bad">{fault}</Notice>}
      {answer && answer.sequences > 0 && (
        <p class="soft" data-proof={answer.error}>
          Runs in this browser: {answer.sequences} golden sequences of {answer.networks.join(", ")} give what NumPy gave, {answer.error === 0 ? "to the last bit" : `the largest difference ${answer.error.toExponential(1)} of the largest value`}.
        </p>
      )}
      {left.map(([network, why]) => <p key={network} class="soft">Not in this browser: {network}, {why}.</p>)}
      {own && (
        <Notice kind="warm">
          This page has no server. What this view asks beside the network is written in Python: <code>congru serve {model}</code> shows it. <a href={address(["model", model, "gates"])}>The gates are here</a>.
        </Notice>
      )}
    </div>
  );
}

function ModelPage({ name, view }: { name: string; view: string }) {
  const { answer: models, fault } = useAnswer(`models ${name}`, () => engine.models());
  const entry = models?.find((one) => one.id === name);
  const own = entry?.task ? VIEWS[entry.task] : undefined;
  useEffect(() => {
    document.title = `${name} · congru`;
  }, [name]);
  if (fault) return <Notice kind="bad">{fault}</Notice>;
  if (!models) return <p class="soft">Loading…</p>;
  if (!entry)
    return (
      <Notice kind="bad">
        There is no model “{name}” here. <a href="#/">See all models</a>.
      </Notice>
    );
  const tabs: [string, string][] = [...(own ? [own] : []), ["gates", "Gates"]];
  return (
    <>
      <div class="head">
        <h1>{name}</h1>
        <span class="soft">
          {[NAMES[entry.task ?? ""] ?? entry.task, entry.cell?.toUpperCase()].filter(Boolean).join(" · ")}
        </span>
        <nav class="tabs" aria-label="Views of this model">
          {tabs.map(([key, words]) => (
            <a key={key} href={address(["model", name, key])} aria-current={key === view ? "page" : undefined}>
              {words}
            </a>
          ))}
          {entry.is_run && <a href={address(["run", name])}>Training</a>}
        </nav>
      </div>
      {!engine.served && <InBrowser model={name} own={view !== "gates" && !HERE.includes(view)} />}
      <Fence key={`${name} ${view}`}>
        {view === "gates" && <Explorer model={name} task={entry.task ?? ""} />}
        {view === "write" && <Write model={name} />}
        {engine.served && view === "play" && <Chess model={name} />}
        {view === "forecast" && <ForecastView model={name} />}
        {engine.served && view === "music" && <Music model={name} />}
        {engine.served && view === "words" && <Sentiment model={name} />}
        {engine.served && view === "translate" && <Translate model={name} />}
        {engine.served && view === "talk" && <Talk model={name} />}
        {engine.served && view === "hear" && <Hear model={name} />}
        {engine.served && view === "watch" && <Watch model={name} />}
      </Fence>
    </>
  );
}

function Page() {
  const { path } = useRoute();
  const [theme, nextTheme] = useTheme();
  const [kind, name, view] = path;
  useEffect(() => {
    if (kind !== "model" && kind !== "run") document.title = "congru";
  }, [kind]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the content
      </a>
      <header class="top">
        <div>
          <a class="brand" href="#/">
            <img src="./icon.svg" alt="" /> congru
          </a>
          <nav aria-label="Main">
            <a href="#/" aria-current={!kind ? "page" : undefined}>Models</a>
            <a href="#/compare" aria-current={kind === "compare" ? "page" : undefined}>Compare</a>
            {engine.trains && <a href="#/train" aria-current={kind === "train" ? "page" : undefined}>Train</a>}
          </nav>
          <button class="quiet" type="button" onClick={nextTheme} aria-label={`Colours: ${theme}; change to ${NEXT[theme]}`}>
            {{ auto: "◐", light: "○", dark: "●" }[theme]} <span class="word">{theme}</span>
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Fence key={kind ?? ""}>
          {!kind && <Home />}
          {kind === "model" && name && <ModelPage name={name} view={view ?? "gates"} />}
          {kind === "run" && name && <RunPage key={name} name={name} />}
          {kind === "train" && <Train />}
          {kind === "compare" && <Compare />}
          {kind && !["model", "run", "train", "compare"].includes(kind) && (
            <Notice kind="bad">There is nothing at this address. <a href="#/">See all models</a>.</Notice>
          )}
        </Fence>
      </main>
    </>
  );
}

// A double click on what begins or ends something does so once.
addEventListener(
  "click",
  (event) => {
    if (event.detail < 2 || !(event.target instanceof Element && event.target.closest("[data-once]"))) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);

// A token in the address has become a cookie: nobody needs to read it over a shoulder, or find it in the history.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);
render(<Page />, document.getElementById("page")!);
