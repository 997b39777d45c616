// The script of a congru report: hover a cell of the film and its equations are filled in; pick an output and the memory
// map follows. It reads the JSON beside it, computes with the cell's own equations, and asks the network for nothing.
(function () {
  "use strict";
  const data = JSON.parse(document.getElementById("congru-data").textContent);
  const H = data.units, T = data.steps, G = data.gates.length, p = data.zoneout;
  const sigmoid = (a) => 1 / (1 + Math.exp(-a));
  const show = (v) => (v < 0 ? "-" : " ") + Math.abs(v).toFixed(3);
  const plain = (v) => v.toFixed(3);

  function unpack(packed) {
    const text = atob(packed.data), bytes = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    const integers = new DataView(bytes.buffer), out = new Float64Array(bytes.length / 2);
    for (let k = 0; k < out.length; k++) out[k] = integers.getInt16(2 * k, true) * packed.scale;
    return out;
  }

  const ways = data.directions.map((d) => ({
    reverse: d.reverse, order: d.order, gi: unpack(d.gi), h: unpack(d.h), U: d.U && unpack(d.U), bh: unpack(d.bh),
    start: d.start.map(unpack), restart: d.restart.map(unpack), isFirst: new Set(d.isFirst), gates: null,
    gh: d.gh && unpack(d.gh), gc: d.gc && unpack(d.gc), bc: d.bc && unpack(d.bc),
  }));

  // The state before step t: the neighbour's, or a start.
  function stateBefore(way, t, part, states) {
    if (way.isFirst.has(t)) return way.restart[part];
    const before = way.reverse ? t + 1 : t - 1;
    return before < 0 || before >= T ? way.start[part] : states.subarray(before * H, before * H + H);
  }

  // norm(a), and 1 / sqrt(variance + eps) of each of its numbers, part by part: the units of one gate and head.
  function norm(a) {
    const size = H / data.heads, hat = new Float64Array(a.length), scale = new Float64Array(a.length);
    for (let begin = 0; begin < a.length; begin += size) {
      const part = a.subarray(begin, begin + size), mean = part.reduce((x, y) => x + y, 0) / size;
      const each = 1 / Math.sqrt(part.reduce((x, y) => x + (y - mean) * (y - mean), 0) / size + 1e-5);
      for (let i = 0; i < size; i++) hat[begin + i] = (part[i] - mean) * each;
      scale.fill(each, begin, begin + size);
    }
    return { hat, scale };
  }

  // d by g norm(a) as d by a: (d - mean(d) - hat mean(d hat)) / sqrt(variance + eps), part by part.
  function normPull(d, { hat, scale }) {
    const size = H / data.heads, out = new Float64Array(d.length);
    for (let begin = 0; begin < d.length; begin += size) {
      let mean = 0, along = 0;
      for (let i = begin; i < begin + size; i++) {
        mean += d[i] / size;
        along += (d[i] * hat[i]) / size;
      }
      for (let i = begin; i < begin + size; i++) out[i] = (d[i] - mean - hat[i] * along) * scale[i];
    }
    return out;
  }

  // U v of the gate rows first to stop, [k * H].
  function products(way, v, first, stop) {
    const out = new Float64Array((stop - first) * H);
    for (let r = 0; r < out.length; r++) {
      const row = (first * H + r) * H;
      for (let j = 0; j < H; j++) out[r] += way.U[row + j] * v[j];
    }
    return out;
  }

  // U v + b_h of the gate rows first to stop, [k * H]; with layer norm g_h * norm(U v) + b_h.
  function stateTerms(way, v, first = 0, stop = G) {
    if (!way.U) return new Float64Array((stop - first) * H);
    const sums = products(way, v, first, stop), read = way.gh ? norm(sums).hat : sums;
    return read.map((a, r) => (way.gh ? way.gh[first * H + r] : 1) * a + way.bh[first * H + r]);
  }

  // Gates, what was written, and what is kept, of every step; [T, H] each. Computed once.
  function compute(way) {
    if (way.gates) return way.gates;
    const g = { keep: new Float64Array(T * H), written: new Float64Array(T * H), memory: new Float64Array(T * H) };
    for (const name of data.gates) g[name] = new Float64Array(T * H);
    g.cell = new Float64Array(T * H); // of an LSTM, before zoneout
    g.read = new Float64Array(T * H); // what its output tanh reads: the cell, or its norm
    g.a = new Float64Array(T * H);
    const rh = new Float64Array(H);
    for (let k = 0; k < T; k++) {
      const t = way.reverse ? T - 1 - k : k, base = t * H, gi = t * G * H;
      const h = stateBefore(way, t, 0, way.h);
      const c = data.cell === "lstm" ? stateBefore(way, t, 1, g.memory) : null;
      const gate = (name, i, f) => (g[name][base + i] = f);
      const terms = stateTerms(way, h, 0, data.resetBefore ? 2 : G), term = (row, i) => terms[row * H + i];
      if (data.cell === "gru") {
        for (let i = 0; i < H; i++) {
          gate("r", i, sigmoid(way.gi[gi + i] + term(0, i)));
          gate("z", i, sigmoid(way.gi[gi + H + i] + term(1, i)));
          rh[i] = g.r[base + i] * h[i];
        }
        g.a.set(data.resetBefore ? stateTerms(way, rh, 2, 3) : terms.subarray(2 * H), base);
      }
      for (let i = 0; i < H; i++) {
        const at = base + i, input = (row) => way.gi[gi + row * H + i];
        if (data.cell === "gru") {
          gate("n", i, Math.tanh(input(2) + (data.resetBefore ? g.a[at] : g.r[at] * g.a[at])));
        } else if (data.cell === "mingru") {
          gate("z", i, sigmoid(input(0)));
          gate("n", i, input(1) >= 0 ? input(1) + 0.5 : sigmoid(input(1)));
        } else if (data.cell === "lstm") {
          gate("i", i, sigmoid(input(0) + term(0, i)));
          gate("f", i, sigmoid(input(1) + term(1, i)));
          gate("g", i, Math.tanh(input(2) + term(2, i)));
          gate("o", i, sigmoid(input(3) + term(3, i)));
          g.keep[at] = p + (1 - p) * g.f[at];
          g.written[at] = (1 - p) * g.i[at] * g.g[at];
          g.cell[at] = g.f[at] * c[i] + g.i[at] * g.g[at];
          g.memory[at] = g.keep[at] * c[i] + g.written[at];
        } else {
          const a = input(0) + term(0, i);
          gate("n", i, data.cell === "rnn" ? Math.tanh(a) : Math.max(a, 0));
        }
        if (g.z) {
          g.keep[at] = p + (1 - p) * g.z[at];
          g.written[at] = (1 - g.keep[at]) * g.n[at];
          g.memory[at] = way.h[at];
        }
      }
      if (data.cell === "lstm") {
        const cell = g.cell.subarray(base, base + H), hat = way.gc && norm(cell).hat;
        g.read.set(way.gc ? hat.map((v, i) => way.gc[i] * v + way.bc[i]) : cell, base);
      }
    }
    way.gates = g;
    return g;
  }

  // The equations of one unit at one step, with its numbers.
  function equations(w, t, i) {
    const way = ways[w], g = compute(way), at = t * H + i, h = stateBefore(way, t, 0, way.h);
    const terms = stateTerms(way, h), input = (row) => way.gi[t * G * H + row * H + i], state = (row) => terms[row * H + i];
    const both = way.gh ? "norm(W x) + b + norm(U h) + b" : "W x + b + U h + b";
    const squash = (name, f, row) =>
      `${name} = ${f}(${both}) = ${f}(${show(input(row))} + ${show(state(row))}) = ${plain(g[name][at])}`;
    const kept = (z, n) => `h' = (1 - z) * n + z * h = ${plain(1 - z)} * ${show(n)} + ${plain(z)} * ${show(h[i])} = ` +
      show((1 - z) * n + z * h[i]);
    const held = (name, old, fresh) => p === 0 ? [] : [`${name}' = p * ${name} + (1 - p) * ${name}' = ${plain(p)} * ` +
      `${show(old)} + ${plain(1 - p)} * ${show(fresh)} = ${show(p * old + (1 - p) * fresh)}   zoneout`];
    if (data.cell === "gru") {
      const n = data.resetBefore
        ? `n = tanh(${way.gh ? "norm(W x) + b + norm(U (r * h)) + b" : "W x + b + U (r * h) + b"}) = tanh(${show(input(2))} + ${show(g.a[at])}) = ${plain(g.n[at])}`
        : `n = tanh(${way.gh ? "norm(W x) + b + r * (norm(U h) + b)" : "W x + b + r * (U h + b)"}) = tanh(${show(input(2))} + ${plain(g.r[at])} * ${show(g.a[at])}) = ` +
          plain(g.n[at]);
      return [squash("r", "sigmoid", 0), squash("z", "sigmoid", 1), n, kept(g.z[at], g.n[at]),
        ...held("h", h[i], (1 - g.z[at]) * g.n[at] + g.z[at] * h[i])];
    }
    if (data.cell === "mingru")
      return [`z = sigmoid(W x + b) = sigmoid(${show(input(0))}) = ${plain(g.z[at])}`,
        `n = g(W x + b) = g(${show(input(1))}) = ${plain(g.n[at])}`, kept(g.z[at], g.n[at])];
    if (data.cell === "lstm") {
      const c = stateBefore(way, t, 1, g.memory)[i], shown = g.o[at] * Math.tanh(g.read[at]);
      return [squash("i", "sigmoid", 0), squash("f", "sigmoid", 1), squash("g", "tanh", 2), squash("o", "sigmoid", 3),
        `c' = f * c + i * g = ${plain(g.f[at])} * ${show(c)} + ${plain(g.i[at])} * ${show(g.g[at])} = ${show(g.cell[at])}`,
        `h' = o * tanh(${way.gc ? "norm(c')" : "c'"}) = ${plain(g.o[at])} * ${show(Math.tanh(g.read[at]))} = ${show(shown)}`,
        ...held("c", c, g.cell[at]), ...held("h", h[i], shown)];
    }
    return [squash("n", data.cell === "rnn" ? "tanh" : "relu", 0), `h' = n = ${show(g.n[at])}`, ...held("h", h[i], g.n[at])];
  }

  // ---- the cell under the pointer -----------------------------------------------------------------------------
  const panel = document.getElementById("cell");
  if (data.norm === "all") {
    panel.textContent = "The numbers of single cells are not in this page: with one norm over all gates each depends on all units.";
    panel.hidden = false;
    return;
  }
  const chosen = { way: 0, step: T - 1, unit: ways[0].order[0], pinned: false };

  function fill() {
    const step = data.first + chosen.step, name = ways.length > 1 ? (chosen.way ? " backward" : " forward") : "";
    const token = JSON.stringify(data.tokens[step]);
    const hint = chosen.pinned ? "click again to let go, arrow keys move" : "click to hold it";
    panel.textContent = `unit ${chosen.unit}${name}, ${data.step} ${step + 1}, ${token}    (${hint})\n` +
      equations(chosen.way, chosen.step, chosen.unit).join("\n");
  }

  function place(event, box, w) {
    const columns = Math.min(data.length, Math.ceil(data.length / Math.ceil(data.length / 200)));
    const size = Math.ceil(data.length / 200);
    const across = Math.min(0.999999, Math.max(0, (event.clientX - box.left) / box.width)) * columns;
    const down = Math.min(0.999999, Math.max(0, (event.clientY - box.top) / box.height));
    const column = Math.floor(across);
    const step = Math.min(data.length - 1, column * size + Math.floor((across - column) * size));
    if (step < data.first) {
      panel.textContent = `${data.step} ${step + 1}: its numbers are not in this page, which holds ${data.first + 1} to ${data.length}`;
      return;
    }
    Object.assign(chosen, { way: w, step: step - data.first, unit: ways[w].order[Math.floor(down * H)] });
    fill();
  }

  ways.forEach((way, w) => {
    for (const group of document.querySelectorAll(`[id^="film-${data.depth}-${w}-"]`)) {
      const image = group.tagName === "image" ? group : group.querySelector("image") || group;
      image.classList.add("hover");
      image.addEventListener("mousemove", (event) => chosen.pinned || place(event, image.getBoundingClientRect(), w));
      image.addEventListener("click", (event) => {
        chosen.pinned = !chosen.pinned;
        place(event, image.getBoundingClientRect(), w);
      });
    }
  });
  document.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move || !chosen.pinned || /INPUT|SELECT/.test(event.target.tagName)) return;
    event.preventDefault();
    const order = ways[chosen.way].order, rank = order.indexOf(chosen.unit) + move[1];
    chosen.step = Math.min(T - 1, Math.max(0, chosen.step + move[0]));
    chosen.unit = order[Math.min(H - 1, Math.max(0, rank))];
    fill();
  });
  panel.hidden = false;
  fill();

  // ---- the memory map of a picked output ----------------------------------------------------------------------
  const tool = document.getElementById("pick");
  const possible = data.readout && data.cell !== "rnn" && data.cell !== "rnn_relu" && !ways[0].gc && (ways.length === 1 || data.whole);
  if (!tool || !possible) return;
  const weight = unpack(data.readout.weight), bias = unpack(data.readout.bias), D = ways.length;

  // How much each step of a direction counts in the read-out.
  function reads(w, at) {
    const out = new Float64Array(T), kind = data.readout.kind;
    if (kind === "mean") out.fill(1 / data.length);
    else if (kind === "final" && ways[w].reverse) out[0] = 1;
    else out[kind === "steps" ? at : T - 1] = 1;
    return out;
  }

  // d J of step t: the gradient by the state before (and, for an LSTM, by the cell before) from that after.
  function pullBack(way, g, t, dh, dc) {
    const base = t * H, h = stateBefore(way, t, 0, way.h);
    const rows = data.gates.map(() => new Float64Array(H)), out = new Float64Array(H), cell = new Float64Array(H);
    for (let i = 0; i < H; i++) {
      const at = base + i;
      if (data.cell === "lstm") {
        const c = stateBefore(way, t, 1, g.memory)[i], squashed = Math.tanh(g.cell[at]);
        const d = dc[i] + dh[i] * g.o[at] * (1 - squashed * squashed);
        rows[0][i] = d * g.g[at] * g.i[at] * (1 - g.i[at]);
        rows[1][i] = d * c * g.f[at] * (1 - g.f[at]);
        rows[2][i] = d * g.i[at] * (1 - g.g[at] * g.g[at]);
        rows[3][i] = dh[i] * squashed * g.o[at] * (1 - g.o[at]);
        cell[i] = d * g.f[at];
      } else {
        out[i] = dh[i] * g.z[at];
        if (data.cell === "gru") {
          rows[1][i] = dh[i] * (h[i] - g.n[at]) * g.z[at] * (1 - g.z[at]);
          const dn = dh[i] * (1 - g.z[at]) * (1 - g.n[at] * g.n[at]);
          rows[2][i] = data.resetBefore ? dn : dn * g.r[at];
          rows[0][i] = data.resetBefore ? 0 : dn * g.a[at] * g.r[at] * (1 - g.r[at]);
        }
      }
    }
    if (!way.U) return [out, cell];
    // Zoneout: p d + (1 - p) d J.
    const mixed = () => p === 0 ? [out, cell] : [out.map((v, i) => p * dh[i] + (1 - p) * v), cell.map((v, i) => p * dc[i] + (1 - p) * v)];
    const product = (row, into, v = h) => {
      let pulled = rows[row];
      if (way.gh) pulled = normPull(pulled.map((d, i) => d * way.gh[row * H + i]), norm(products(way, v, row, row + 1)));
      for (let i = 0; i < H; i++) {
        const d = pulled[i], line = (row * H + i) * H;
        if (d !== 0) for (let j = 0; j < H; j++) into[j] += d * way.U[line + j];
      }
    };
    if (data.cell === "gru" && data.resetBefore) {
      const q = new Float64Array(H);
      product(2, q, h.map((v, j) => v * g.r[base + j]));
      for (let j = 0; j < H; j++) {
        out[j] += q[j] * g.r[base + j];
        rows[0][j] = q[j] * h[j] * g.r[base + j] * (1 - g.r[base + j]);
      }
      [0, 1].forEach((row) => product(row, out));
    } else {
      data.gates.forEach((_, row) => product(row, out));
    }
    return mixed();
  }

  // B_k = u_k + keep_{k+1} B_{k+1} and d_k = u_k + J' d_{k+1}, from the last step processed to the first. An LSTM's u is
  // what its state shows of the cell: v_k = u_k + p v_{k+1} (zoneout keeps a share of h too), s_k = shown v_k, s_k - p s_{k+1}.
  function shares(output, at) {
    const written = new Float64Array(T);
    let start = 0, above = 0, below = 0;
    ways.forEach((way, w) => {
      const g = compute(way), u = weight.subarray((output * D + w) * H, (output * D + w + 1) * H), read = reads(w, at);
      let [B, dh, dc, v, s] = Array.from({ length: 5 }, () => new Float64Array(H)), own = true;
      for (let k = 0; k < T; k++) {
        const t = way.reverse ? k : T - 1 - k, base = t * H;
        let sum = 0, inner = 0, size = 0;
        for (let i = 0; i < H; i++) {
          const c = g.cell[base + i], squashed = Math.tanh(c);
          let pulled = read[t] * u[i];
          if (data.cell === "lstm") {
            v[i] = pulled + p * v[i];
            const shown = v[i] * g.o[base + i] * (Math.abs(c) < 1e-6 ? 1 : squashed / c);
            pulled = shown - p * s[i];
            s[i] = shown;
          }
          B[i] += pulled;
          dh[i] += read[t] * u[i];
          sum += g.written[base + i] * B[i];
          const d = data.cell === "lstm" ? dc[i] + dh[i] * g.o[base + i] * (1 - squashed * squashed) : dh[i];
          inner += B[i] * d;
          size += d * d;
        }
        written[t] += sum;
        if (!own && size > 0) {
          above += (inner / size) * Math.abs(sum);
          below += Math.abs(sum);
        }
        if (read[t] !== 0) own = false;
        const first = way.isFirst.has(t) || (way.reverse ? t === T - 1 : t === 0);
        const part = data.cell === "lstm" ? 1 : 0, before = stateBefore(way, t, part, g.memory);
        if (first) for (let i = 0; i < H; i++) start += g.keep[base + i] * B[i] * before[i];
        if (first && data.cell === "lstm" && p) {
          const h = stateBefore(way, t, 0, way.h);
          for (let i = 0; i < H; i++) start += p * (v[i] * h[i] - s[i] * before[i]);
        }
        if (way.isFirst.has(t)) {
          [B, dh, dc, v, s] = [B, dh, dc, v, s].map(() => new Float64Array(H));
        } else {
          for (let i = 0; i < H; i++) B[i] *= g.keep[base + i];
          [dh, dc] = pullBack(way, g, t, dh, dc);
        }
      }
    });
    return { written, start, bias: bias[output], trust: below ? above / below : NaN };
  }

  // Letters of a text side by side, blanks by their sign; of words, days and moves the first of a column.
  function labelOf(tokens) {
    const words = tokens.some((token) => token.trim().length > 1);
    const text = words ? tokens[0].trim() || "\u2423" : tokens.join("").replace(/\s/g, "\u2423").slice(0, 6);
    return text.length > 12 ? `${text.slice(0, 11)}\u2026` : text;
  }

  function bars(values, tokens) {
    const full = Math.max(300, view.clientWidth || 900), most = full < 500 ? 24 : 60, size = Math.ceil(values.length / most), count = Math.ceil(values.length / size);
    const sums = Array.from({ length: count }, (_, k) => values.slice(k * size, (k + 1) * size).reduce((a, b) => a + b, 0));
    const top = Math.max(0, ...sums), low = Math.min(0, ...sums), span = top - low || 1, width = full / count;
    const y = (v) => 12 + (150 * (top - v)) / span;
    let tilted = false, longest = 0, out = `<line x1="0" x2="${full}" y1="${y(0)}" y2="${y(0)}" stroke="currentColor" stroke-width="0.7"/>`;
    sums.forEach((v, k) => {
      const text = labelOf(tokens.slice(k * size, (k + 1) * size));
      longest = Math.max(longest, text.length);
      const safe = text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
      out += `<rect x="${k * width + 1}" y="${Math.min(y(v), y(0))}" width="${Math.max(1, width - 2)}" ` +
        `height="${Math.abs(y(v) - y(0))}" fill="${v < 0 ? "#2f78b7" : "#d9731a"}"><title>${safe} ${v.toFixed(3)}</title></rect>`;
      const small = size > 1 || text.length > 2;
      tilted = tilted || small;
      out += `<text transform="translate(${(k + 0.5) * width} 176)${small ? " rotate(60)" : ""}" font-size="10" ` +
        `text-anchor="${small ? "start" : "middle"}" fill="currentColor">${safe}</text>`;
    });
    return `<svg viewBox="0 0 ${full + (tilted ? 3 * longest : 0)} ${tilted ? 186 + 5.5 * longest : 184}" role="img" aria-label="shares of each step">${out}</svg>`;
  }

  const sentence = (share) => !isFinite(share) ? "nothing older than the step itself contributes"
    : share > 1.3 ? "the carry path overstates the truth: check with clamp()"
    : share >= 0.7 ? "mostly a clean conveyor"
    : share >= 0.3 ? "partly recomputed through the candidate, read with care" : "recomputed through the candidate, do not read as causes";

  const select = tool.querySelector("select"), number = tool.querySelector("input"), view = tool.querySelector("div");
  data.readout.labels.forEach((label, k) => select.add(new Option(JSON.stringify(label), k)));
  select.value = Math.max(0, data.readout.outputs.indexOf(data.target));
  number.min = data.first + 1;
  number.max = data.length;
  number.value = data.at + 1;
  number.parentElement.hidden = data.readout.kind !== "steps";

  function draw() {
    const at = Math.min(T - 1, Math.max(0, Number(number.value) - 1 - data.first)), found = shares(Number(select.value), at);
    const last = data.readout.kind === "steps" ? at : T - 1, begin = D > 1 ? 0 : Math.max(0, last - 59);
    const end = D > 1 || data.readout.kind === "mean" ? T : last + 1;
    const older = found.written.slice(0, begin).reduce((a, b) => a + b, 0);
    const all = found.written.reduce((a, b) => a + b, 0);
    view.innerHTML = bars(Array.from(found.written.slice(begin, end)), data.tokens.slice(data.first + begin, data.first + end));
    const text = document.createElement("p");
    text.className = "note";
    const label = data.readout.labels[select.value];
    text.textContent = `${label.trim() === label && label ? label : JSON.stringify(label)} = ${show(all + found.start + found.bias)} = written ${show(all)}` +
      ` + start ${show(found.start)} + bias ${show(found.bias)}` + (begin ? ` (before ${data.step} ${data.first + begin + 1}: ${show(older)})` : "") +
      `. Trust share ${isFinite(found.trust) ? found.trust.toFixed(2) : "none"}: ${sentence(found.trust)}.`;
    view.append(text);
  }
  select.addEventListener("change", draw);
  number.addEventListener("input", draw);
  tool.hidden = false;
  draw();
})();
