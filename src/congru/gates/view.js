// The script of the input view: the prediction made at the step under the pointer, or chosen by the arrow keys, and the
// share of every step in it. The numbers are those that Python computed.
(function () {
  "use strict";
  const holder = document.getElementById("congru-view");
  if (!holder) return;
  const data = JSON.parse(holder.textContent), view = document.getElementById("steps"), said = document.getElementById("said");
  if (!data.said.length) return;
  const steps = Array.from(view.querySelectorAll("[data-k]")), byStep = new Map(data.said.map((one, k) => [one.at, k]));
  const last = data.said.length - 1;
  let now = last, choice = 0, held = false;

  function unpack(one) {
    if (one.length < 6) return null;
    const text = atob(one[5]), bytes = new Int8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    return Array.from(bytes, (value) => value * one[4]);
  }

  function paint() {
    const one = data.said[now], shares = unpack(one.choices[choice]);
    const largest = shares ? Math.max(...shares.map(Math.abs)) || 1 : 1;
    const all = shares ? shares.reduce((sum, value) => sum + Math.abs(value), 0) || 1 : 1;
    steps.forEach((step, k) => {
      const share = shares && k < shares.length ? shares[k] : 0;
      step.style.background = share ? `rgba(${data.colors[share < 0 ? 1 : 0]},${(data.strongest * Math.abs(share)) / largest})` : "";
      const words = data.adds_up ? `${((100 * Math.abs(share)) / all).toFixed(1)} % of all shares, ${share.toFixed(3)} of ${data.of}` : `${share.toFixed(3)} bits lost without its part`;
      step.title = shares && k < shares.length ? words : "";
      step.classList.toggle("later", k > one.at);
      step.classList.toggle("here", k === one.at);
    });
    said.innerHTML = "";
    const asked = document.createElement("p"), list = document.createElement("ol");
    asked.className = "asked";
    asked.textContent = now === last ? data.predicts : `${data.predicts}, after ${one.at + 1} of ${data.length}`;
    one.choices.forEach((each, k) => {
      const row = document.createElement("li"), name = document.createElement("b"), bar = document.createElement("span");
      const inner = document.createElement("i"), value = document.createElement("em");
      name.textContent = each[0] + (one.actual && one.actual === each[1] ? " ✓" : "");
      name.title = each[0];
      bar.className = "bar";
      inner.style.width = `${100 * Math.min(1, Math.max(0, each[3]))}%`;
      value.textContent = each[2];
      bar.append(inner);
      row.append(name, bar, value);
      row.classList.toggle("chosen", k === choice);
      if (each.length > 5) {
        row.classList.add("pickable");
        row.addEventListener("click", () => { choice = k; held = true; paint(); });
      }
      list.append(row);
    });
    said.append(asked, list);
  }

  function go(step, picked) {
    if (!byStep.has(step)) return;
    if (byStep.get(step) !== now) choice = 0;
    now = byStep.get(step);
    choice = Math.min(picked ?? choice, data.said[now].choices.length - 1);
    paint();
  }

  const under = (event) => event.target.closest("[data-k]");
  view.addEventListener("mousemove", (event) => { const step = under(event); if (step && !held) go(Number(step.dataset.k)); });
  view.addEventListener("mouseleave", () => { if (!held) go(data.said[last].at, 0); });
  view.addEventListener("click", (event) => {
    const step = under(event);
    held = step ? !(held && Number(step.dataset.k) === data.said[now].at) : false;
    if (step) go(Number(step.dataset.k), 0);
  });
  view.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key], turn = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") { held = false; go(data.said[last].at, 0); return; }
    if (move === undefined && turn === undefined) return;
    event.preventDefault();
    held = true;
    if (turn) {
      const with_shares = data.said[now].choices.filter((each) => each.length > 5).length;
      choice = Math.max(0, Math.min(Math.max(0, with_shares - 1), choice + turn));
      paint();
    } else go(data.said[Math.max(0, Math.min(last, now + move))].at, 0);
  });
  document.querySelectorAll("#view-hint span").forEach((hint) => { hint.hidden = false; });
  paint();
  view.scrollTop = view.scrollHeight;
})();
