"""The nodes of a network in plain array operations, for sequences without padding: each is a function f(node, w, state, *x).

Arrays are [B, T, ..]; rows [B, F], memories [B, S, M]; parts of a state [N, B, F]. `node` is its entry in the network's
declaration, `w` its weights by part, `state` its own parts before; what comes back is y and the parts after. `xp` names
the functions: NumPy's here, NumPy's, torch's or keras.ops' in the files that hold what stands from `sigmoid` on.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as xp


def sigmoid(a):
    return (xp.tanh(a / 2) + 1) / 2


def normalise(a, parts, epsilon):
    """(a - mean) / sqrt(variance + epsilon) of each of the equal parts of the last axis."""
    split = a.reshape((*a.shape[:-1], parts, a.shape[-1] // parts))
    centred = split - xp.mean(split, -1)[..., None]
    return (centred / xp.sqrt(xp.mean(centred * centred, -1)[..., None] + epsilon)).reshape(a.shape)


def dense(x, weight, bias=None):
    y = xp.matmul(x, xp.swapaxes(weight, 0, 1))
    return y if bias is None else y + bias


def softmax(s):
    e = xp.exp(s - xp.amax(s, -1)[..., None])
    return e / xp.sum(e, -1)[..., None]


def embedding(node, w, state, tokens):
    if "weight" in w:
        return w["weight"][tokens], {}
    rows = [w[f"weight_{k}"][tokens[..., k]] for k in range(len(w))]
    return (xp.concatenate(rows, -1) if node.get("combine") == "concat" else sum(rows[1:], rows[0])), {}


def linear(node, w, state, x):
    return dense(x, w["weight"], w.get("bias")), {}


def layer_norm(node, w, state, x):
    return normalise(x, 1, 1e-5) * w["weight"] + w["bias"], {}


def relu(node, w, state, x):
    return xp.maximum(x, x * 0), {}


def tanh(node, w, state, x):
    return xp.tanh(x), {}


def logistic(node, w, state, x):
    return sigmoid(x), {}


def unchanged(node, w, state, x):
    return x, {}


def flatten(node, w, state, x):
    return x.reshape((*x.shape[: node["lead"]], -1)), {}


def row_max(node, w, state, x):
    return xp.amax(x, -1).reshape((*x.shape[: node["lead"]], -1)), {}


def beside(values, axes):
    """Rows [B, F] repeated along the steps or positions of the others."""
    long = next((value for value, kind in zip(values, axes) if kind != "row"), None)
    if long is None:
        return values
    zeros = long[..., :1] * 0
    return [value[:, None] + zeros if kind == "row" else value for value, kind in zip(values, axes)]


def add(node, w, state, *x):
    first, *others = beside(x, node["axes"])
    return sum(others, first), {}


def concat(node, w, state, *x):
    return xp.concatenate(list(beside(x, node["axes"])), -1), {}


def last(node, w, state, x):
    return x[:, -1], {}


def mean(node, w, state, x):
    if not node.get("running"):
        return xp.mean(x, 1), {}
    total, count, rows = state["sum"][0], state["count"][0], []
    for t in range(x.shape[1]):
        total, count = total + x[:, t], count + 1
        rows.append(total / count)
    return xp.stack(rows, 1), {"sum": total[None], "count": count[None]}


def largest(node, w, state, x):
    if not node.get("running"):
        return xp.amax(x, 1), {}
    most, rows = state["max"][0], []
    for t in range(x.shape[1]):
        most = xp.maximum(most, x[:, t])
        rows.append(most)
    return xp.stack(rows, 1), {"max": most[None]}


def attention_pool(node, w, state, x):
    s = xp.sum(xp.tanh(dense(x, w["weight"], w["bias"])) * w["query"], -1)
    if not node.get("running"):
        return xp.sum(softmax(s)[..., None] * x, 1), {}
    (top, total, weighted), rows = (state[part][0] for part in ("largest", "total", "sum")), []
    for t in range(x.shape[1]):
        score = s[:, t, None]
        higher = xp.maximum(top, score)
        fade, share = xp.exp(top - higher), xp.exp(score - higher)
        top, total, weighted = higher, total * fade + share, weighted * fade + share * x[:, t]
        rows.append(weighted / total)
    return xp.stack(rows, 1), {"largest": top[None], "total": total[None], "sum": weighted[None]}


def attention(node, w, state, query, memory):
    if node.get("score") == "additive":
        hidden = xp.tanh(
            dense(query, w["query_weight"])[:, :, None] + dense(memory, w["memory_weight"])[:, None]
        )
        s = xp.sum(hidden * w["score_weight"], -1)
    else:
        asked = xp.matmul(query, w["weight"]) if "weight" in w else query
        s = xp.matmul(asked, xp.swapaxes(memory, 1, 2))
    return xp.matmul(softmax(s), memory), {}


def windows(node, w, state, x):
    taps = node.get("kernel") or node["frames"]
    if taps == 1:
        return x, {}
    whole = xp.concatenate([xp.swapaxes(state["past"], 0, 1), x], 1)
    steps = x.shape[1]
    y = xp.concatenate([whole[:, k : k + steps] for k in range(taps)], -1)
    return y, {"past": xp.swapaxes(whole[:, steps:], 0, 1)}


def causal_conv(node, w, state, x):
    y, after = windows(node, w, state, x)
    return dense(y, w["weight"], w.get("bias")), after


def convolve(x, weight, bias, stride, padding):
    """Pictures [N, C, H, W] to [N, O, H', W'], with zeros at the edges."""
    outputs, kernel = weight.shape[0], weight.shape[-1]
    for axis in (2, 3) if padding else ():
        size = list(x.shape)
        edge = x[:, :, :1] * 0 if axis == 2 else x[..., :1] * 0
        x = xp.concatenate([edge] * padding + [x] + [edge] * padding, axis)
        assert x.shape[axis] == size[axis] + 2 * padding
    down, across = ((side - kernel) // stride + 1 for side in x.shape[2:])
    y = 0
    for a in range(kernel):
        for b in range(kernel):
            patch = x[
                :, :, a : a + stride * (down - 1) + 1 : stride, b : b + stride * (across - 1) + 1 : stride
            ]
            y = y + xp.matmul(weight[:, :, a, b], patch.reshape((x.shape[0], x.shape[1], down * across)))
    y = y if bias is None else y + bias[:, None]
    return y.reshape((x.shape[0], outputs, down, across))


def conv2d(node, w, state, x):
    lead = x.shape[:-3]
    y = convolve(
        x.reshape((-1, *x.shape[-3:])),
        w["weight"],
        w.get("bias"),
        node.get("stride", 1),
        node.get("padding", 0),
    )
    return y.reshape((*lead, *y.shape[1:])), {}


def conv_gru(node, w, state, x):
    edge, h = node.get("kernel", 3) // 2, state["h"][0]
    batch, c, sides, rows = h.shape[0], node["channels"], x.shape[-2:], []
    h = h.reshape((batch, c, *sides))
    for t in range(x.shape[1]):
        i = convolve(x[:, t], w["weight_ih"], w["bias_ih"], 1, edge)
        u = convolve(h, w["weight_hh"], w["bias_hh"], 1, edge)
        r, z = sigmoid(i[:, :c] + u[:, :c]), sigmoid(i[:, c : 2 * c] + u[:, c : 2 * c])
        n = xp.tanh(i[:, 2 * c :] + r * u[:, 2 * c :])
        h = n + z * (h - n)
        rows.append(h)
    return xp.stack(rows, 1), {"h": h.reshape((1, batch, -1))}


def recurrent(node, w, state, x):
    """GRU, LSTM, RNN and minGRU: every layer, each in one direction or two."""
    parts = list(state)
    finals = {part: [] for part in parts}
    ways = 2 if node.get("bidirectional") else 1
    for layer in range(node.get("num_layers", 1)):
        outputs = []
        for way in range(ways):
            end = f"l{layer}" + ("_reverse" if way else "")
            own = {name[: -len(end) - 1]: value for name, value in w.items() if name.endswith(f"_{end}")}
            now = [state[part][layer * ways + way] for part in parts]
            keep, rows = node.get("zoneout", 0.0), []
            for t in range(x.shape[1] - 1, -1, -1) if way else range(x.shape[1]):
                new = CELLS[node["type"]](node, own, x[:, t], now)
                now = [keep * old + (1 - keep) * part for old, part in zip(now, new)]
                rows.append(now[0])
            outputs.append(xp.stack(rows[::-1] if way else rows, 1))
            for part, value in zip(parts, now):
                finals[part].append(value)
        x = outputs[0] if ways == 1 else xp.concatenate(outputs, -1)
    return x, {part: xp.stack(values, 0) for part, values in finals.items()}


def sums(node, w, side, v, first=0, count=None):
    """P(v; M, g) + b of the input side "ih" or the recurrent side "hh", for some of the gates."""
    H, heads = node["hidden_size"], node.get("num_heads", 1)
    rows = slice(first * H, None if count is None else (first + count) * H)
    matrix = w[f"weight_{side}"][rows]
    gates = matrix.shape[0] // H
    if side == "hh" and heads > 1:
        size = H // heads
        blocks = matrix.reshape((gates, heads, size, size))
        y = xp.sum(blocks[None] * v.reshape((v.shape[0], 1, heads, 1, size)), -1).reshape(
            (v.shape[0], gates * H)
        )
    else:
        y = dense(v, matrix)
    if node.get("layer_norm") is True:
        y = normalise(y, gates * heads, 1e-5) * w[f"gain_{side}"][rows]
    bias = w.get(f"bias_{side}")
    return y if bias is None else y + bias[rows]


def gru(node, w, x, state):
    (h,), H = state, node["hidden_size"]
    if node.get("layer_norm") == "dreamer":
        a = dense(x, w["weight_ih"]) + dense(h, w["weight_hh"], w.get("bias_hh"))
        a = normalise(a, 1, 1e-3) * w["gain_ih"] + w.get("bias_ih", 0)
        r, z = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H] + 1)
        n = xp.tanh(r * a[:, 2 * H :])
        return [n + z * (h - n)]
    i, u = sums(node, w, "ih", x), sums(node, w, "hh", h, 0, 2)
    r, z = sigmoid(i[:, :H] + u[:, :H]), sigmoid(i[:, H : 2 * H] + u[:, H:])
    if node.get("reset_before"):
        n = xp.tanh(i[:, 2 * H :] + sums(node, w, "hh", r * h, 2, 1))
    else:
        n = xp.tanh(i[:, 2 * H :] + r * sums(node, w, "hh", h, 2, 1))
    return [n + z * (h - n)]


def lstm(node, w, x, state):
    (h, c), H = state, node["hidden_size"]
    a = sums(node, w, "ih", x) + sums(node, w, "hh", h)
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
    c = f * c + i * xp.tanh(a[:, 2 * H : 3 * H])
    read = c
    if node.get("layer_norm"):
        read = normalise(c, node.get("num_heads", 1), 1e-5) * w["gain_c"] + w.get("bias_c", 0)
    return [o * xp.tanh(read), c]


def rnn(node, w, x, state):
    return [xp.tanh(sums(node, w, "ih", x) + sums(node, w, "hh", state[0]))]


def mingru(node, w, x, state):
    H = node["hidden_size"]
    a = sums(node, w, "ih", x)
    z, n = sigmoid(a[:, :H]), a[:, H:]
    n = xp.where(n >= 0, n + 0.5, sigmoid(n))
    return [n + z * (state[0] - n)]


CELLS = {"gru": gru, "lstm": lstm, "rnn": rnn, "mingru": mingru}
NODES = {
    "embedding": embedding,
    "linear": linear,
    "layer_norm": layer_norm,
    "relu": relu,
    "tanh": tanh,
    "sigmoid": logistic,
    "dropout": unchanged,
    "flatten": flatten,
    "row_max": row_max,
    "add": add,
    "concat": concat,
    "last": last,
    "mean": mean,
    "max": largest,
    "attention_pool": attention_pool,
    "attention": attention,
    "stack": windows,
    "causal_conv": causal_conv,
    "conv2d": conv2d,
    "conv_gru": conv_gru,
    **dict.fromkeys(CELLS, recurrent),
}


def run_network(network, weights, inputs, state):
    """Outputs and the state after; `weights` by "<node>.<part>"."""
    values, after = dict(inputs), {}
    for node in network["nodes"]:
        name, kind = node["name"], node["type"]
        own = {
            key.partition(".")[2]: value for key, value in weights.items() if key.partition(".")[0] == name
        }
        if node.get("tied"):
            own["weight"] = weights[f"{node['tied']}.weight"]
        before = {part: state[f"{name}.{part}"] for part in node["state"]}
        values[name], parts = NODES[kind](node, own, before, *(values[key] for key in node["of"]))
        after.update({f"{name}.{part}": value for part, value in parts.items()})
    return {name: values[name] for name in network["outputs"]}, after
