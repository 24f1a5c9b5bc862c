// The gate explorer: the paper's experiment on a plane, in the reader's browser. Every `.npf-explorer` of the page holds
// initial weights, examples and a rate as JSON (companion/explorer.py wrote it); training, gates, regions, outputs and
// kernels are computed here, in float64, and a test holds them to npflib's. No library, no request. The element's
// property `explorer` = { set(changes), state(), run(name, step), tile(plane) } carries all numbers in full precision.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const DRAWN = new Set("svg g polygon polyline path line circle rect text defs linearGradient stop".split(" "));
  const STEP = 0.05, BIG = 5; // of the half side: an arrow key; how many of them with Shift
  const UNIT = 100; // drawing units to half the side of the plane
  const ON_THE_EDGE = 1e-9; // as in companion/explorer.py: corners on an edge that has been drawn
  const SATURATED = 4; // the output at which its colour is full
  const SECONDS = 5, EVERY = 10, JUMP = 100; // a whole training played; steps between points of a curve; without motion
  const NAMES = { ReLU: "ReLU", FLNPF: "FLNPF, learnt gates", "FRNPF-II": "FRNPF (II), random gates" };
  const FROZEN = ["FLNPF", "FRNPF-II"];
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /** An element with attributes (null leaves one out) and children. */
  const make = (tag, attributes = {}, ...children) => {
    const node = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const number = (value, digits = 3) => (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
  const whole = (value) => value.toLocaleString("en");
  const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };
  const product = (values) => values.reduce((a, b) => a * b, 1);
  const total = (values) => values.reduce((a, b) => a + b, 0);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const listed = (units) => units.map((on, i) => (on ? i + 1 : 0)).filter(Boolean).join(", ") || "none";
  const coordinates = (p) => `(${number(p[0], 2)}, ${number(p[1], 2)})`;
  const range = (n, make) => Array.from({ length: n }, (_, k) => make(k));
  /** Writes a text only where it changed: most of a move leaves most of the page alone. */
  const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const assign = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };

  // ——— Networks, their training, and what it is judged by ———

  /** Pre-activations q, gates, signals z and output; the gates 1[q > 0] are its own (0 is closed), or those given. */
  function forward(weights, input, given) {
    const q = [], gates = [], signals = [input], hidden = weights.length - 1;
    for (let l = 0; l < hidden; l++) {
      const n = weights[l].length, [on, sums, z] = [given ? given[l] : new Array(n), new Array(n), new Array(n)];
      for (let i = 0; i < n; i++) {
        sums[i] = dot(weights[l][i], signals[l]);
        if (!given) on[i] = sums[i] > 0 ? 1 : 0;
        z[i] = sums[i] * on[i];
      }
      q.push(sums);
      gates.push(on);
      signals.push(z);
    }
    return { q, gates, signals, output: dot(weights[hidden][0], signals[hidden]) };
  }

  /** The mean L of log(1 + exp(−yŷ)) over the examples, and its gradient by backpropagation. */
  function slope(weights, inputs, labels, given) {
    const gradient = weights.map((weight) => weight.map((row) => row.map(() => 0)));
    let loss = 0;
    for (let k = 0; k < inputs.length; k++) {
      const { gates, signals, output } = forward(weights, inputs[k], given?.[k]), margin = labels[k] * output;
      loss += Math.log1p(Math.exp(-Math.abs(margin))) + Math.max(-margin, 0);
      let back = [-labels[k] / (1 + Math.exp(margin)) / inputs.length];
      for (let l = weights.length - 1; l >= 0; l--) {
        const z = signals[l], below = new Array(z.length).fill(0);
        for (let i = 0; i < back.length; i++) {
          if (back[i] === 0) continue;
          const row = gradient[l][i], weight = weights[l][i];
          for (let j = 0; j < z.length; j++) {
            row[j] += back[i] * z[j];
            below[j] += back[i] * weight[j];
          }
        }
        if (l) for (let j = 0; j < z.length; j++) below[j] *= gates[l - 1][j];
        back = below;
      }
    }
    return { loss: loss / inputs.length, gradient };
  }

  /** One regime's training, step by step as far as it is asked for; `source` are frozen weights that give the gates. */
  function training(net, name, weights, source) {
    const gatesOf = (inputs) => (source ? inputs.map((input) => forward(source, input).gates) : null);
    const given = gatesOf(net.inputs), givenTests = gatesOf(net.tests);
    const history = [weights], losses = [], rights = [];
    const measured = (k) => slope(run.at(k), net.inputs, net.labels, given);
    const run = {
      name, measured,
      at(k) {
        while (history.length <= k) {
          const last = history[history.length - 1], { loss, gradient } = slope(last, net.inputs, net.labels, given);
          losses[history.length - 1] = loss;
          history.push(last.map((weight, l) => weight.map((row, i) => row.map((w, j) => w - net.rate * gradient[l][i][j]))));
        }
        return history[k];
      },
      gates: (k) => source ?? run.at(k), // the weights that give the gates
      seen: (k, input) => forward(run.at(k), input, source && forward(source, input).gates),
      loss: (k) => (losses[k] ??= measured(k).loss),
      right: (k) => (rights[k] ??= // the share of test points on the right side
        net.tests.filter((x, t) => net.answers[t] * forward(run.at(k), x, givenTests?.[t]).output > 0).length / net.tests.length),
      told: (k) => `loss ${number(run.loss(k))}, ${number(100 * run.right(k), 1)} % of ${net.tests.length} test points right`,
    };
    return run;
  }

  // ——— Regions and paths ———

  /** A convex polygon's part where row · (x, constants) > 0, its other part, and the line between; null for none. */
  function cut(polygon, row, net) {
    const offset = dot(row.slice(2), net.constants);
    const small = ON_THE_EDGE * (net.half * (Math.abs(row[0]) + Math.abs(row[1])) + Math.abs(offset));
    const q = polygon.map((p) => p[0] * row[0] + p[1] * row[1] + offset).map((v) => (Math.abs(v) <= small ? 0 : v));
    if (!q.some((v) => v > 0)) return [null, polygon, null];
    if (!q.some((v) => v < 0)) return [polygon, null, null];
    const positive = [], negative = [], line = [];
    polygon.forEach((here, k) => {
      const next = (k + 1) % polygon.length, there = polygon[next];
      if (q[k] >= 0) positive.push(here);
      if (q[k] <= 0) negative.push(here);
      if (q[k] === 0) line.push(here);
      if (q[k] * q[next] < 0) {
        const share = q[k] / (q[k] - q[next]);
        const crossing = [0, 1].map((d) => here[d] + share * (there[d] - here[d]));
        [positive, negative, line].forEach((side) => side.push(crossing));
      }
    });
    return [positive, negative, line];
  }

  /** The linear regions that weights cut the square into, unit by unit, and the edges of units; as `regions` in Python. */
  function tile(weights, net) {
    const square = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map((p) => p.map((c) => c * net.half));
    const identity = net.inputs[0].map((_, i) => net.inputs[0].map((_, j) => Number(i === j)));
    let pieces = [{ corners: square, map: identity, gates: [] }];
    const edges = [];
    weights.slice(0, -1).forEach((weight, layer) => {
      pieces = pieces.flatMap((piece) => {
        const rows = times(weight, piece.map);
        let parts = [{ corners: piece.corners, on: [] }];
        rows.forEach((row, unit) => {
          parts = parts.flatMap(({ corners, on }) => {
            const [positive, negative, ends] = cut(corners, row, net);
            if (ends) edges.push({ layer, unit, ends });
            return [[positive, 1], [negative, 0]].filter(([side]) => side).map(([side, gate]) => ({ corners: side, on: [...on, gate] }));
          });
        });
        return parts.map(({ corners, on }) =>
          ({ corners, map: rows.map((row, i) => row.map((r) => r * on[i])), gates: [...piece.gates, on] }));
      });
    });
    return { regions: pieces, edges };
  }
  const times = (a, b) => a.map((row) => b[0].map((_, j) => { let sum = 0; row.forEach((v, i) => { sum += v * b[i][j]; }); return sum; }));

  /** The output's derivative by each input behind constant gates. */
  const derivative = (weights, gates) => weights.slice(1).reduce((map, weight, l) =>
    times(weight, map.map((row, i) => row.map((v) => v * gates[l][i]))), weights[0])[0];

  /** Every path, one node a layer, in lexicographic order. */
  const everyPath = (weights) => weights.reduce((paths, weight) =>
    paths.flatMap((path) => weight[0].map((_, node) => [...path, node])), [[]]);
  const worth = (path, weights) => { let v = 1; weights.forEach((w, l) => { v *= w[path[l + 1] ?? 0][path[l]]; }); return v; };
  const open = (path, gates) => gates.every((layer, l) => layer[path[l + 1]]);
  const overlapOf = (gates, gates2) => gates.map((layer, l) => dot(layer, gates2[l]));
  const activeOf = (gates, inputs) => inputs * product(gates.map(total));

  /** All that the page shows of one network for x and x′; compare tests/companion/explorer_truth.py. */
  function at(net, run, step, paths, [x, x2]) {
    const inputs = [x, x2].map((p) => [...p, ...net.constants]), [one, two] = inputs.map((input) => run.seen(step, input));
    const weights = run.at(step), values = paths.map((path) => worth(path, weights));
    const features = paths.map((path) => (open(path, one.gates) ? inputs[0][path[0]] : 0));
    const features2 = paths.map((path) => (open(path, two.gates) ? inputs[1][path[0]] : 0));
    const products = values.map((v, p) => features[p] * v), common = overlapOf(one.gates, two.gates);
    const overlap = product(common), inner = dot(...inputs);
    return {
      input: inputs[0], weights, q: one.q, gates: one.gates, gates2: two.gates, values, features, features2, products,
      common, overlap, inner, open: activeOf(one.gates, inputs[0].length), open2: activeOf(two.gates, inputs[0].length),
      output: one.output, output2: two.output, sum: total(products), kernel: inner * overlap, gram: dot(features, features2),
    };
  }

  // ——— Drawings ———

  /** A plane with its regions, shaded by a function that is linear in each, and two points. Only `first` takes Tabs. */
  function drawPlane(net, id, first) {
    const scale = UNIT / net.half, place = (p) => [p[0] * scale, -p[1] * scale];
    const flat = (corners) => corners.map((p) => place(p).join()).join(" ");
    const piece = (ends, attributes) => { // a corner that is only touched has one end
      const [[x1, y1], [x2, y2]] = [place(ends[0]), place(ends[ends.length - 1])];
      return make("line", { x1, y1, x2, y2, ...attributes });
    };
    const examples = net.points.map(place).map(([x, y], k) =>
      make("path", { d: `M${x - 2} ${y}h4` + (net.labels[k] > 0 ? `M${x} ${y - 2}v4` : "") }));
    const slides = (label) => ({ tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": -net.half,
      "aria-valuemax": net.half, "aria-roledescription": "point in the plane" });
    const handle = (name, label, shape) => make("g", { class: `npf-handle npf-${name}`, ...(first ? slides(label) : { "aria-hidden": "true" }) },
      make("circle", { r: 15, class: "npf-reach" }), make("circle", { r: 10.5, class: "npf-ring" }), shape,
      make("text", { x: 8.5, y: -6.5 }, name === "x" ? "x" : "x'"));
    const handles = [
      handle("x", "Point x", make("circle", { r: 5.5, class: "npf-mark" })),
      handle("x2", "Second point, x prime", make("path", { d: "M0-7 7 0 0 7-7 0Z", class: "npf-mark" })),
    ];
    const outlines = ["here", "there"].map((name) => make("polygon", { class: `npf-${name}` }));
    const layer = (name) => make("g", { class: name, "aria-hidden": "true" });
    const [areas, lines, levels, shades] = [layer("npf-regions"), layer("npf-edges"), layer("npf-level"), make("defs")];
    const stops = make("linearGradient", { id, gradientUnits: "userSpaceOnUse" }, ...["low", "mid", "high"].map((name, k) =>
      make("stop", { offset: k / 2, class: `npf-${name}` })));
    const svg = make("svg", { viewBox: "-104 -104 208 222", role: "group",
        "aria-label": "The plane of inputs, its linear regions, and two points that can be moved" },
      make("defs", {}, stops), shades, areas, lines,
      make("g", { class: "npf-examples", "aria-hidden": "true" }, ...examples), levels, ...outlines,
      make("rect", { x: -UNIT, y: -UNIT, width: 2 * UNIT, height: 2 * UNIT, class: "npf-frame" }),
      make("g", { class: "npf-scale", "aria-hidden": "true" }, make("text", { x: -UNIT, y: 113 }, number(-net.half, 0)),
        make("text", { x: 0, y: 113, "text-anchor": "middle" }, "first input →, second ↑"),
        make("text", { x: UNIT, y: 113, "text-anchor": "end" }, number(net.half, 0))),
      ...handles);
    const title = make("p", { class: "npf-title" }), told = make("p", { class: "npf-told" });

    let source = null, tiling = null, known = null, values = null, outputs = null, painted = "", most = 0;
    const retile = (weights) => {
      [source, tiling] = [weights, tile(weights, net)];
      known = new Map(tiling.regions.map((region) => [region.gates.flat().join(""), flat(region.corners)]));
      areas.replaceChildren(...tiling.regions.map(({ corners }) => make("polygon", { points: flat(corners) })));
      lines.replaceChildren(...tiling.edges.map((edge) => piece(edge.ends, { class: edge.layer ? "npf-deep" : null,
        "data-unit": `${edge.layer}-${edge.unit}` })));
    };
    /** Colours a region from −most to most by a linear function of the plane: exact, for colours blend linearly, too. */
    const paint = (area, k, [a, b, c], most) => {
      const steep = a * a + b * b;
      const shade = shades.children[k] ?? shades.appendChild(make("linearGradient",
        { id: `${id}-${k}`, href: `#${id}`, gradientUnits: "userSpaceOnUse" }));
      if (steep < 1e-18 * most * most) { // no direction in which it changes
        const share = clamp(Math.round((100 * c) / most), -100, 100);
        area.style.fill = `color-mix(in srgb, var(--npf-${share < 0 ? "low" : "high"}) ${Math.abs(share)}%, var(--npf-mid))`;
        return;
      }
      const ends = [-most, most].map((value) => place([((value - c) * a) / steep, ((value - c) * b) / steep]));
      ["x1", "y1", "x2", "y2"].forEach((name, n) => assign(shade, name, String(ends.flat()[n])));
      area.style.fill = `url(#${id}-${k})`;
    };
    return { svg, handles, box: make("div", { class: "npf-plane" }, title, svg, told), tiling: () => tiling,
      show(run, step, seen, points, shading, marked, words) {
        const weights = run.at(step), offset = (row) => [row[0], row[1], dot(row.slice(2), net.constants)];
        if (run.gates(step) !== source) [values] = [null, retile(run.gates(step))]; // only what has changed is drawn anew
        if (weights !== values) {
          values = weights;
          outputs = tiling.regions.map(({ gates }) => derivative(weights, gates));
          levels.replaceChildren(...tiling.regions.flatMap(({ corners }, k) => {
            const line = cut(corners, outputs[k], net)[2];
            return line ? [piece(line, {})] : [];
          }));
          painted = "";
        }
        if (painted !== shading || shading === "kernel") {
          painted = shading;
          const heights = { // each a function of the plane, linear in each region
            output: () => outputs.map(offset),
            kernel: () => tiling.regions.map(({ gates }) => {
              const overlap = product(overlapOf(seen.gates, gates));
              return offset(seen.input.map((value) => overlap * value));
            }),
          }[shading]();
          most = shading === "output" ? SATURATED : Math.max(1e-9, ...tiling.regions.flatMap(({ corners }, k) =>
            corners.map((p) => Math.abs(heights[k][0] * p[0] + heights[k][1] * p[1] + heights[k][2]))));
          heights.forEach((height, k) => paint(areas.children[k], k, height, most));
        }
        for (const line of lines.children) line.classList.toggle("npf-marked", line.dataset.unit === marked);
        [seen.gates, seen.gates2].forEach((gates, k) => assign(outlines[k], "points", known.get(gates.flat().join("")) ?? ""));
        points.forEach((p, k) => {
          assign(handles[k], "transform", `translate(${place(p).join(" ")})`);
          if (!first) return;
          assign(handles[k], "aria-valuenow", String(p[0]));
          assign(handles[k], "aria-valuetext", `first input ${number(p[0], 2)}, second input ${number(p[1], 2)}`);
        });
        write(title, words);
        write(told, run.told(step).replace("l", "L"));
        return most;
      } };
  }

  /** Loss and accuracy of several trainings, step by step. */
  function drawCurves(net) {
    const [right, left, bottom, top] = [292, 32, 128, 18], across = (k) => left + (k * (right - left)) / net.steps;
    const text = (x, y, anchor, words) => make("text", { x, y, "text-anchor": anchor }, words);
    const chart = (title, value, limit) => {
      const axis = make("g", { class: "npf-axis" }), drawn = make("g");
      const svg = make("svg", { viewBox: "0 0 300 150", role: "img" }, axis, drawn);
      return { svg, show(runs) {
        const most = limit(runs), down = (v) => top + (bottom - top) * (1 - clamp(v / most, 0, 1));
        axis.replaceChildren(text(left, 11, "start", title), text(left, 143, "start", "0"), text(right, 143, "end", `step ${whole(net.steps)}`),
          ...[0, most / 2, most].flatMap((v) => [make("line", { x1: left, x2: right, y1: down(v), y2: down(v) }), text(left - 4, down(v) + 3, "end", String(v))]));
        drawn.replaceChildren(...runs.flatMap(({ run, until }) => {
          const places = [...range(Math.ceil(until / EVERY), (k) => k * EVERY), until];
          const points = places.map((k) => `${across(k).toFixed(2)},${down(value(run, k)).toFixed(2)}`).join(" ");
          return [make("polyline", { points, class: `npf-curve npf-of-${run.name}` }),
            make("circle", { cx: across(until), cy: down(value(run, until)), r: 3.2, class: `npf-end-of npf-of-${run.name}` })];
        }));
        assign(svg, "aria-label", `${title}: ` + runs.map(({ run, until }) => `${NAMES[run.name]} ${number(value(run, until), 2)} at step ${until}`).join("; "));
      } };
    };
    const charts = [chart("Training loss", (run, k) => run.loss(k), (runs) => Math.ceil(2 * Math.max(...runs.map(({ run }) => run.loss(0)))) / 2),
      chart("Test points right, %", (run, k) => 100 * run.right(k), () => 100)];
    const key = make("p", { class: "npf-key npf-legend" });
    let shown = "";
    return { box: make("div", { class: "npf-curves" }, ...charts.map(({ svg }) => svg), key), show(runs) {
      const now = runs.map(({ run, until }) => `${run.name} ${until} ${run.loss(until)}`).join();
      if (now === shown) return;
      shown = now;
      charts.forEach((one) => one.show(runs));
      key.replaceChildren(...runs.map(({ run }) => make("span", {}, make("i", { class: `npf-of-${run.name}` }), NAMES[run.name])));
    } };
  }

  function drawNetwork(net, sizes, highlight, hover) {
    const [width, height, top] = [340, 24 + 38 * Math.max(...sizes), 24];
    const across = (l) => 34 + (l * (width - 74)) / (sizes.length - 1);
    const down = (l, i) => top + ((height - top) * (i + 0.5)) / sizes[l];
    const ends = (l, i, j) => ({ x1: across(l), y1: down(l, j), x2: across(l + 1), y2: down(l + 1, i) });
    const every = (draw) => sizes.slice(1).map((size, l) => range(size, (i) => range(sizes[l], (j) => draw(l, i, j))));
    const lines = every((l, i, j) => make("line", ends(l, i, j)));
    const reach = every((l, i, j) => {
      const line = make("line", ends(l, i, j));
      line.addEventListener("pointerenter", () => hover(l, i, j));
      return line;
    });
    const nodes = sizes.map((size, l) => range(size, (i) => {
      const hidden = l > 0 && l < sizes.length - 1, value = make("text", { y: 3.5, class: "npf-value" });
      const node = make("g", { class: hidden ? "npf-unit" : "npf-end", transform: `translate(${across(l)} ${down(l, i)})` },
        make("circle", { r: 17, class: "npf-on" }), make("rect", { x: -16, y: -13, width: 32, height: 26, class: "npf-off" }), value);
      if (l < sizes.length - 1) node.append(make("text", { x: -20, y: -11, class: "npf-name" }, String(i + 1)));
      if (hidden) {
        node.append(make("path", { d: "M17-18l5 5-5 5-5-5z", class: "npf-second" }));
        for (const [name, value] of [["role", "button"], ["tabindex", l === 1 && i === 0 ? "0" : "-1"]]) assign(node, name, value);
        node.addEventListener("click", () => highlight(`${l - 1}-${i}`));
      }
      return { node, value };
    }));
    const units = nodes.slice(1, -1).flatMap((layer, l) => layer.map(({ node }, i) => ({ node, name: `${l}-${i}` })));
    const behind = make("g", { class: "npf-hits", "aria-hidden": "true" }, ...reach.flat(2));
    behind.addEventListener("pointerleave", () => hover());
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group",
        "aria-label": "The network; its units are buttons that mark their edge in the plane" },
      make("g", { class: "npf-lines", "aria-hidden": "true" }, ...lines.flat(2)), behind,
      make("g", { class: "npf-titles", "aria-hidden": "true" }, ...sizes.map((_, l) => make("text", { x: across(l), y: 12 },
        l === 0 ? "inputs" : l === sizes.length - 1 ? "output ŷ" : `layer ${l}`))),
      ...nodes.flat().map(({ node }) => node));
    svg.addEventListener("keydown", (event) => {
      const k = units.findIndex(({ node }) => node === document.activeElement);
      if (k < 0) return;
      const next = { ArrowDown: k + 1, ArrowRight: k + 1, ArrowUp: k - 1, ArrowLeft: k - 1, Home: 0, End: -1 }[event.key];
      if (next !== undefined) {
        const chosen = units[(next + units.length) % units.length].node;
        units.forEach(({ node }) => assign(node, "tabindex", node === chosen ? "0" : "-1"));
        chosen.focus();
      } else if (event.key === "Enter" || event.key === " ") highlight(units[k].name);
      else return;
      event.preventDefault();
    });
    let weights = null;
    return { svg, lines, show(seen, marked) {
      const states = [seen.input.map(() => 1), ...seen.gates, [1]], values = [seen.input, ...seen.q, [seen.output]];
      const largest = Math.max(...seen.weights.flat(2).map(Math.abs), 1e-9);
      nodes.forEach((layer, l) => layer.forEach(({ node, value }, i) => {
        node.classList.toggle("npf-is-on", states[l][i] === 1);
        write(value, number(values[l][i], 2));
        if (!node.classList.contains("npf-unit")) return;
        node.classList.toggle("npf-is-second", seen.gates2[l - 1][i] === 1);
        assign(node, "aria-pressed", String(marked === `${l - 1}-${i}`));
        assign(node, "aria-label", `layer ${l}, unit ${i + 1}: ${states[l][i] ? "on" : "off"} at x, ` +
          `${seen.gates2[l - 1][i] ? "on" : "off"} at x prime; mark its edge`);
      }));
      lines.forEach((layer, l) => layer.forEach((row, i) => row.forEach((line, j) => {
        const theta = seen.weights[l][i][j];
        if (weights !== seen.weights) {
          line.style.setProperty("--npf-wide", (0.8 + (3.4 * Math.abs(theta)) / largest).toFixed(2));
          line.classList.toggle("npf-negative", theta < 0);
        }
        line.classList.toggle("npf-is-on", states[l][j] === 1 && states[l + 1][i] === 1);
      })));
      weights = seen.weights;
    } };
  }

  function drawPaths(paths, pick) {
    const rows = paths.map((path) => {
      const cells = ["φ", "v", "φv", "φ′"].map(() => make("td"));
      return { row: make("tr", {}, make("th", { scope: "row" }, path.map((node) => node + 1).join("→")), ...cells), cells };
    });
    const head = ["path", "φ(x)", "v", "φ(x) · v", "φ(x′)"].map((text) => make("th", { scope: "col" }, text));
    const sum = make("td"), what = make("th", { scope: "row" }, "sum"), body = make("tbody", {}, ...rows.map(({ row }) => row));
    const foot = make("tfoot", {}, make("tr", {}, what, make("td"), make("td"), sum, make("td")));
    const table = make("table", {}, make("caption", {}, "Paths, one node a layer, numbered as in the network"),
      make("thead", {}, make("tr", {}, ...head)), body, foot);
    const box = make("div", { class: "npf-scroll", tabindex: 0, role: "region", "aria-label": "List of paths; arrow keys light one in the network" }, table);
    body.addEventListener("pointermove", (event) => pick(rows.findIndex(({ row }) => row.contains(event.target))));
    body.addEventListener("pointerleave", () => pick(-1));
    let lit = -1;
    box.addEventListener("keydown", (event) => {
      const seen = rows.map((_, p) => p).filter((p) => rows[p].row.offsetParent), k = seen.indexOf(lit);
      const next = { ArrowDown: k + 1, ArrowUp: k < 0 ? seen.length - 1 : k - 1, Home: 0, End: seen.length - 1 }[event.key];
      if (next === undefined || !seen.length) return;
      event.preventDefault();
      pick(seen[clamp(next, 0, seen.length - 1)], true, true);
    });
    return { box, light(p, bring) {
      rows[lit]?.row.classList.remove("npf-lit");
      rows[(lit = p)]?.row.classList.add("npf-lit");
      const row = rows[p]?.row; // within the list: the page itself stays where it is
      if (bring && row?.offsetParent) box.scrollTop = clamp(box.scrollTop, row.offsetTop + 3 * row.offsetHeight - box.clientHeight, row.offsetTop - 2 * row.offsetHeight);
    }, show(seen, all) {
      rows.forEach(({ row, cells }, p) => {
        const [isOpen, isOpen2] = [open(paths[p], seen.gates), open(paths[p], seen.gates2)];
        row.classList.toggle("npf-closed", !isOpen);
        if (!isOpen && !all) return;
        const texts = [isOpen ? number(seen.features[p]) : "0", number(seen.values[p]), isOpen ? number(seen.products[p]) : "0",
          isOpen2 ? number(seen.features2[p]) : "0"];
        cells.forEach((cell, k) => write(cell, texts[k]));
      });
      write(sum, number(seen.sum));
      write(what, `sum of ${rows.filter(({ row }) => all || !row.classList.contains("npf-closed")).length}`);
    } };
  }

  /** Two cards of equations; each line is a name, a formula with numbers, and its value. */
  function drawFacts() {
    const names = [["⟨φ(x), v⟩, path by path", "ŷ(x), the network run forwards", "they differ by"],
      ["Λ, open for both", "Σ = ⟨x, x′⟩", "H = Σ · Λ", "⟨φ(x), φ(x′)⟩, path by path"]];
    const values = names.map((card) => card.map(() => make("dd"))), heads = names.map(() => make("p"));
    const cards = ["One input: a sum over paths", "Two inputs: the kernel"].map((title, c) => make("section", { "aria-label": title },
      make("p", { class: "npf-title" }, title), heads[c], make("dl", {}, ...names[c].flatMap((name, k) => [make("dt", {}, name), values[c][k]]))));
    return { cards, show(seen, points) {
      write(heads[0], `At x = ${coordinates(points[0])} ${seen.open} of ${seen.values.length} paths are open.`);
      write(heads[1], `At x′ = ${coordinates(points[1])} ${seen.open2} are open; ŷ(x′) = ${number(seen.output2)}.`);
      const apart = Math.abs(seen.sum - seen.output);
      const texts = [number(seen.sum), number(seen.output), apart ? apart.toExponential(1).replace("-", "−") : "0",
        `${seen.common.join(" · ")} = ${seen.overlap}`, number(seen.inner), number(seen.kernel), number(seen.gram)];
      values.flat().forEach((value, k) => write(value, texts[k]));
    } };
  }

  // ——— The page ———

  function build(root, which) {
    const net = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    net.points = net.examples.map((e) => e.slice(0, 2));
    [net.inputs, net.tests] = [net.examples, net.held].map((all) => all.map((e) => [e[0], e[1], ...net.constants]));
    [net.labels, net.answers] = [net.examples, net.held].map((all) => all.map((e) => e[2]));
    for (const [name, colour] of Object.entries(net.colours)) root.style.setProperty(`--npf-given-${name}`, colour);
    const seeds = net.starts.map((start) => start.seed), paths = everyPath(net.starts[0].ReLU);
    const sizes = [...net.starts[0].ReLU.map((weight) => weight[0].length), 1];
    const opening = { stage: "train", step: 0, again: 0, seed: seeds[0], x: net.start[0], x2: net.start[1], shade: "output", view: "FLNPF" };
    let state = { ...opening }, seen = null, scales = [], marked = null, flips = []; // what is shown
    let timer = 0, playing = 0, waiting = 0, touched = false, undo = null, written = ""; // what goes on

    const runs = new Map(); // of each start, and FLNPF of each step at which gates were frozen
    function run(name, { seed, step } = state) {
      const start = net.starts[seeds.indexOf(seed)], key = `${name} ${seed} ${name === "FLNPF" ? step : ""}`;
      const source = { ReLU: () => null, FLNPF: () => run("ReLU", { seed }).at(step), "FRNPF-II": () => start.random }[name];
      if (!runs.has(key)) runs.set(key, training(net, name, name === "ReLU" ? start.ReLU : start.value, source()));
      return runs.get(key);
    }
    const frozen = () => state.stage === "frozen", clock = () => (frozen() ? "again" : "step");
    const each = () => (frozen() ? FROZEN : ["ReLU"]), viewed = () => (frozen() ? state.view : "ReLU");

    const button = (name, text = "") => make("button", { type: "button", class: name }, text);
    const [play, freeze, reset] = [button("npf-play"), button("npf-freeze"), button("npf-reset", "Back to the start")];
    const slider = make("input", { type: "range", min: 0, max: net.steps, step: 1, "aria-label": "Step of training" });
    const planes = [drawPlane(net, `npf-${which}-a`, true), drawPlane(net, `npf-${which}-b`, false)], curves = drawCurves(net);
    const choice = (name, label, entries) => {
      const select = make("select", {}, ...Object.entries(entries).map(([value, text]) => make("option", { value }, text)));
      select.addEventListener("change", () => set({ [name]: name === "seed" ? Number(select.value) : select.value }));
      return { select, allowed: Object.keys(entries), label: make("label", { class: "npf-choice" }, `${label} `, select) };
    };
    const choices = {
      shade: choice("shade", "Shade", { output: "output ŷ", kernel: "kernel H(x, ·)" }),
      seed: choice("seed", "Random start", Object.fromEntries(seeds.map((seed) => [seed, `seed ${seed}`]))),
      view: choice("view", "Look into", { FLNPF: "learnt gates", "FRNPF-II": "random gates" }),
    };
    const network = drawNetwork(net, sizes, mark, (l, i, j) => trace(l === undefined ? -1 : through(l, i, j)));
    const table = drawPaths(paths, trace), facts = drawFacts(), count = make("output"), all = make("input", { type: "checkbox" });
    const last = make("p", { class: "npf-last" }, "No gate has changed yet."), key = make("p", { class: "npf-key" });
    const live = make("p", { class: "npf-live", "aria-live": "polite" });

    /** Marks a unit's edges in the plane, or says that there are none. */
    function mark(unit) {
      marked = marked === unit ? null : unit;
      render();
      if (!marked || planes[each().indexOf(viewed())].tiling().edges.some((edge) => `${edge.layer}-${edge.unit}` === marked)) return;
      const [layer, place] = marked.split("-").map((part) => Number(part) + 1);
      for (const node of [last, live]) write(node, `Unit ${place} of layer ${layer} has no edge in this square: its gate never switches here.`);
    }
    /** Of the paths through a weight the one that counts most at x, or where all are closed has the largest value. */
    const through = (l, i, j) => paths.map((_, p) => p).filter((p) => paths[p][l] === j && (paths[p][l + 1] ?? 0) === i).reduce((best, p) => {
      const more = [seen.products, seen.values].map((sizes) => Math.abs(sizes[p]) - Math.abs(sizes[best]));
      return (more[0] || more[1]) > 0 ? p : best;
    });
    /** Lights a path in the network and in the table; −1 lights none. */
    function trace(p, bring = true, aloud = false) {
      network.lines.flat(2).forEach((line) => line.classList.remove("npf-traced"));
      paths[p]?.forEach((node, l) => network.lines[l][paths[p][l + 1] ?? 0][node].classList.add("npf-traced"));
      table.light(p, bring);
      if (!aloud) return;
      clearTimeout(timer); // what was to be told of the last move gives way
      remember();
      write(live, `Path ${paths[p].map((node) => node + 1).join(" to ")}: feature ${number(seen.features[p])}, value ${number(seen.values[p])}.`);
    }

    function render() {
      const step = state[clock()], before = seen, points = [state.x, state.x2], done = step >= net.steps;
      const name = `${viewed()} ${state.seed} ${frozen() ? state.step : step}`; // whose gates are shown
      seen = { ...at(net, run(viewed()), step, paths, points), name };
      const titles = { ReLU: "ReLU network, its own gates", FLNPF: "Learnt gates, new weights", "FRNPF-II": "Random gates, new weights" };
      scales = each().map((one, k) => (one === viewed()
        ? planes[k].show(run(one), step, seen, points, state.shade, marked, titles[one])
        : planes[k].show(run(one), step, at(net, run(one), step, paths, points), points, state.shade, null, titles[one])));
      planes[1].box.hidden = choices.view.label.hidden = !frozen();
      root.classList.toggle("npf-frozen", frozen());
      curves.show([{ run: run("ReLU"), until: state.step }, ...(frozen() ? FROZEN.map((one) => ({ run: run(one), until: step })) : [])]);
      network.show(seen, marked);
      table.show(seen, all.checked);
      facts.show(seen, points);
      for (const [one, { select }] of Object.entries(choices)) select.value = String(state[one]);
      slider.value = step;
      write(count, `step ${whole(step)} of ${whole(net.steps)}`);
      assign(slider, "aria-valuetext", count.textContent);
      const verb = frozen() ? "Train new weights" : "Train";
      write(play, playing ? "❚❚ Pause" : still.matches ? `${verb}: ${JUMP} steps` : done ? `↺ ${verb} again` : `▶ ${verb}`);
      write(freeze, frozen() ? "← ReLU network" : "❄ Freeze gates, forget weights");
      freeze.classList.toggle("npf-next", done && !frozen());
      play.classList.toggle("npf-next", !done);
      write(key, (state.shade === "output" ? `Colour: output ŷ, orange below 0, blue above, full at ±${SATURATED}. `
        : `Colour: H(x, ·) from x to every point, full at ±${scales.map((value) => number(value, 1)).join(" and ")}. `) +
        `Thin lines: edges of gates${frozen() ? `, learnt up to step ${whole(state.step)} or random, where ŷ may jump` : ""}; dashed in layer 2. Thick line: ŷ = 0. + and −: training examples.`);
      tell(before?.name === name ? before : null);
    }
    /** Says which gates a move has switched, and after a pause, for those who cannot see it, what is now shown. */
    function tell(before) {
      const flipped = [["gates", "x"], ["gates2", "x′"]].flatMap(([which, point]) => seen[which].flatMap((layer, l) => layer.flatMap((on, i) =>
        (before && before[which][l][i] !== on ? [`unit ${i + 1} of layer ${l + 1} is now ${on ? "on" : "off"} for ${point}`] : []))));
      if (flipped.length) write(last, `Gate switched: ${flipped.join("; ")}.`);
      flips.push(...flipped);
      clearTimeout(timer);
      if (touched && !playing) timer = setTimeout(() => {
        const on = seen.gates.map((layer, l) => `layer ${l + 1}: ${listed(layer)}`).join("; "), step = state[clock()];
        write(live, `${flips.length ? flips.join("; ") + ". " : ""}Step ${step}. ${each().map((name) => `${NAMES[name]}: ${run(name).told(step)}`).join("; ")}. ` +
          `x at ${coordinates(state.x)}, x prime at ${coordinates(state.x2)}. Units on at x, ${on}. ${seen.open} of ${paths.length} paths open. ` +
          `Output ${number(seen.output)}. Overlap ${seen.overlap}, kernel ${number(seen.kernel)}.`);
        flips = [];
        remember();
      }, 400);
    }

    // The address holds what is shown, so that it can be sent; only the page's first explorer has it.
    function remember() {
      if (which) return;
      const { stage, x, x2, ...rest } = state, text = new URLSearchParams({ explorer: stage, ...rest, x: x.join(), x2: x2.join() });
      written = `#${text.toString().replaceAll("%2C", ",")}`;
      if (location.hash !== written) location.replace(written);
    }
    /** What the address says, as far as it makes sense; null where it is another's. */
    function recall() {
      const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1))), found = { ...opening };
      if (which || !given.explorer) return null;
      if (given.explorer === "frozen") found.stage = "frozen";
      for (const name of ["step", "again"]) found[name] = Math.round(Number(given[name])) || 0;
      for (const [name, { allowed }] of Object.entries(choices)) if (allowed.includes(given[name])) found[name] = given[name];
      for (const name of ["x", "x2"]) {
        const point = (given[name] ?? "").split(",").map(Number);
        if (point.length === 2 && point.every(Number.isFinite)) found[name] = point;
      }
      return { ...found, seed: Number(found.seed) };
    }

    function set(changes, now = true) {
      state = { ...state, ...changes };
      for (const name of ["x", "x2"]) state[name] = state[name].map((value) => clamp(Math.round(value * 1e6) / 1e6, -net.half, net.half));
      for (const name of ["step", "again"]) state[name] = clamp(state[name], 0, net.steps);
      touched = true;
      if (now) render(); // else at the next frame: a mouse reports more often than the screen is drawn
      else waiting ||= requestAnimationFrame(() => { waiting = 0; render(); });
    }
    function stop() {
      cancelAnimationFrame(playing);
      playing = 0;
    }
    function start() {
      const now = clock(), from = state[now] >= net.steps ? 0 : state[now];
      if (still.matches) return set({ [now]: state[now] >= net.steps ? 0 : from + JUMP });
      let began = 0;
      const frame = (time) => {
        began ||= time;
        const step = Math.min(net.steps, from + Math.round(((time - began) * net.steps) / (1000 * SECONDS)));
        playing = step < net.steps ? requestAnimationFrame(frame) : 0;
        set({ [now]: step });
      };
      playing = requestAnimationFrame(frame);
      render();
    }

    play.addEventListener("click", () => { if (playing) { stop(); render(); } else start(); });
    freeze.addEventListener("click", () => {
      stop();
      set({ stage: frozen() ? "train" : "frozen", again: 0 });
      if (frozen() && !still.matches) start();
    });
    slider.addEventListener("input", () => { stop(); set({ [clock()]: Number(slider.value) }, false); });
    planes.forEach((plane, side) => {
      const place = (event) => {
        const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.svg.getScreenCTM().inverse());
        return [(p.x * net.half) / UNIT, (-p.y * net.half) / UNIT];
      };
      const into = () => (frozen() ? { view: FROZEN[side] } : {});
      plane.svg.addEventListener("click", (event) => set({ x: place(event), ...into() }));
      plane.handles.forEach((handle, k) => {
        const name = ["x", "x2"][k];
        handle.addEventListener("pointerdown", (event) => {
          if (event.button) return;
          event.preventDefault();
          planes[0].handles[k].focus({ preventScroll: true });
          handle.setPointerCapture(event.pointerId);
          const from = place(event), begin = state[name], over = new AbortController(), until = { signal: over.signal };
          undo = () => { over.abort(); undo = null; set({ [name]: begin }); };
          handle.addEventListener("pointermove", (e) => set({ [name]: place(e).map((to, d) => begin[d] + to - from[d]), ...into() }, false), until);
          for (const kind of ["pointerup", "pointercancel"]) handle.addEventListener(kind, () => { over.abort(); undo = null; }, until);
        });
        handle.addEventListener("click", (event) => event.stopPropagation());
        handle.addEventListener("keydown", (event) => {
          const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
          if ((!way && event.key !== "Home") || event.ctrlKey || event.altKey || event.metaKey) return;
          event.preventDefault();
          const step = STEP * net.half * (event.shiftKey ? BIG : 1);
          set({ [name]: way ? state[name].map((value, d) => value + step * way[d]) : opening[name] });
        });
      });
    });
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      stop();
      marked = null;
      trace(-1);
      if (undo) undo(); else render();
    });
    all.addEventListener("change", () => { root.classList.toggle("npf-all", all.checked); render(); });
    reset.addEventListener("click", () => { stop(); marked = null; set({ ...opening }); });
    still.addEventListener("change", () => { stop(); render(); });
    addEventListener("hashchange", () => {
      const found = location.hash === written ? null : recall();
      if (found) { stop(); set(found); }
    });

    set(recall() ?? {});
    touched = false;
    const bar = (...parts) => make("div", { class: "npf-bar" }, ...parts);
    root.replaceChildren(
      bar(play, make("label", { class: "npf-choice npf-slide" }, slider, count), freeze),
      make("div", { class: "npf-panels" }, planes[0].box, planes[1].box, curves.box), key,
      bar(...Object.values(choices).map(({ label }) => label), reset), bar(last),
      make("div", { class: "npf-panels" },
        make("div", {}, network.svg, make("p", { class: "npf-key" }, "Circle: on at x. Dashed box: off. ◆: on at x′. In each its pre-activation. " +
          "A line is as wide as its weight; dashed is negative. Press a unit to mark its edge in the plane; point at a line to light a path.")),
        make("div", { class: "npf-cards" }, ...facts.cards)),
      make("label", { class: "npf-choice" }, all, " list the paths that are closed at x, too"), table.box, live);
    root.explorer = {
      set, state: () => ({ ...state, ...seen, scales, playing: playing > 0 }),
      run: (name, k, from) => { const one = run(name, { ...state, ...from }); return { weights: one.at(k), ...one.measured(k), right: one.right(k) }; },
      tile: (plane) => planes[plane].tiling().regions.map(({ gates }) => gates),
    };
    // For who comes by the Tab key, past the navigation: a link beside the theme's own.
    const skip = which ? null : document.querySelector(".skip-link"), link = make("a", { href: "#npf-explorer" }, "Skip to the gate explorer");
    root.id = which ? root.id : "npf-explorer";
    link.addEventListener("click", (event) => { event.preventDefault(); planes[0].handles[0].focus(); });
    skip?.after(make("div", { class: skip.className }, link));
    root.classList.add("npf-ready");
  }

  document.querySelectorAll(".npf-explorer:not(.npf-ready)").forEach(build);
})();
