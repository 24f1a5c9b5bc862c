// The gate explorer: draws every `.npf-explorer` of the page from the JSON in it (npflib/explorer.py wrote it) and
// recomputes, at each move of a point, everything that a reader sees. No library, no request. The element carries
// all numbers in full precision as data attributes, and a property `explorer` = { set(x, x2), state() }.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const DRAWN = new Set(["svg", "g", "polygon", "path", "line", "circle", "rect", "text"]);
  const STEP = 0.05, BIG = 5; // of the half side: an arrow key; how many of them with Shift
  const UNIT = 100; // drawing units to half the side of the plane

  /** An element with attributes (null leaves one out) and children. */
  const make = (tag, attributes = {}, ...children) => {
    const node = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const number = (value, digits = 3) =>
    (Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).toFixed(digits).replace("-", "−");
  const error = (value) => (value ? value.toExponential(1).replace("-", "−") : "0");
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
  const listed = (units) => units.map((on, i) => (on ? i + 1 : 0)).filter(Boolean).join(", ") || "none";
  const coordinates = (p, digits = 2) => `(${number(p[0], digits)}, ${number(p[1], digits)})`;
  /** Writes a text only where it changed: most of a move leaves most of the page alone. */
  const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const assign = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };

  /** Pre-activations, gates 1[q > 0] (a unit at exactly 0 is closed) and output of the network run forwards. */
  function forward(net, point) {
    const input = [...point, ...net.constants];
    let z = input;
    const q = [], gates = [];
    for (const weight of net.weights.slice(0, -1)) {
      q.push(weight.map((row) => dot(row, z)));
      gates.push(q[q.length - 1].map((value) => (value > 0 ? 1 : 0)));
      z = q[q.length - 1].map((value) => Math.max(value, 0));
    }
    return { input, q, gates, output: dot(net.weights[net.weights.length - 1][0], z) };
  }

  /** Every path, one node a layer, in lexicographic order, and its value: the product of its weights. */
  function everyPath(net) {
    let found = [[]];
    for (const weight of net.weights) {
      const nodes = weight[0].map((_, i) => i);
      found = found.flatMap((path) => nodes.map((node) => [...path, node]));
    }
    const value = (path) => net.weights.reduce((v, weight, l) => v * weight[path[l + 1] ?? 0][path[l]], 1);
    return found.map((path) => ({ path, value: value(path) }));
  }

  const open = (path, gates) => gates.every((layer, l) => layer[path[l + 1]]);

  /** All that the page shows for x and x′; compare npflib.explorer.at. */
  function at(net, paths, x, x2) {
    const one = forward(net, x), two = forward(net, x2);
    const features = paths.map(({ path }) => (open(path, one.gates) ? one.input[path[0]] : 0));
    const features2 = paths.map(({ path }) => (open(path, two.gates) ? two.input[path[0]] : 0));
    const products = paths.map(({ value }, p) => features[p] * value);
    const common = one.gates.map((layer, l) => dot(layer, two.gates[l]));
    const count = (gates) => gates.reduce((n, layer) => n * layer.reduce((a, b) => a + b, 0), one.input.length);
    const overlap = common.reduce((a, b) => a * b, 1), inner = dot(one.input, two.input);
    return {
      input: one.input, q: one.q, gates: one.gates, gates2: two.gates, features, features2, products, common, overlap,
      inner, open: count(one.gates), open2: count(two.gates), output: one.output, output2: two.output,
      sum: products.reduce((a, b) => a + b, 0), kernel: inner * overlap, gram: dot(features, features2),
    };
  }

  function drawPlane(net) {
    const flat = (corners) => corners.map(([a, b]) => `${(a * UNIT) / net.half},${(-b * UNIT) / net.half}`).join(" ");
    const piece = (ends, attributes) => make("line", {
      x1: (ends[0][0] * UNIT) / net.half, y1: (-ends[0][1] * UNIT) / net.half,
      x2: (ends[1][0] * UNIT) / net.half, y2: (-ends[1][1] * UNIT) / net.half, ...attributes,
    });
    const most = Math.max(1, ...net.regions.map((region) => region.open));
    const corners = new Map(net.regions.map((region) => [region.gates.flat().join(""), flat(region.corners)]));
    const regions = net.regions.map((region) =>
      make("polygon", { points: flat(region.corners), "fill-opacity": 0.04 + (0.4 * region.open) / most }));
    const edges = net.edges.map((edge) => ({ ...edge, line: piece(edge.ends, { class: edge.layer ? "npf-deep" : null }) }));
    const level = net.level.map((ends) => piece(ends, {}));
    const examples = net.examples.map(([a, b, label]) => {
      const [cx, cy] = [(a * UNIT) / net.half, (-b * UNIT) / net.half];
      return make("path", { d: `M${cx - 2} ${cy}h4` + (label > 0 ? `M${cx} ${cy - 2}v4` : "") });
    });
    const handle = (name, label, shape) => make("g",
      { class: `npf-handle npf-${name}`, tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": -net.half,
        "aria-valuemax": net.half, "aria-roledescription": "point in the plane" },
      make("circle", { r: 15, class: "npf-reach" }), make("circle", { r: 10.5, class: "npf-ring" }), shape,
      make("text", { x: 8.5, y: -6.5 }, name === "x" ? "x" : "x′"));
    const handles = [
      handle("x", "Point x", make("circle", { r: 5.5, class: "npf-mark" })),
      handle("x2", "Second point, x prime", make("path", { d: "M0-7 7 0 0 7-7 0Z", class: "npf-mark" })),
    ];
    const here = make("polygon", { class: "npf-here" }), there = make("polygon", { class: "npf-there" });
    const svg = make("svg", { viewBox: "-104 -104 208 222", role: "group",
        "aria-label": "The plane of inputs, its linear regions, and two points that can be moved" },
      make("g", { class: "npf-regions", "aria-hidden": "true" }, ...regions),
      make("g", { class: "npf-edges", "aria-hidden": "true" }, ...edges.map((edge) => edge.line)),
      make("g", { class: "npf-examples", "aria-hidden": "true" }, ...examples),
      make("g", { class: "npf-level", "aria-hidden": "true" }, ...level), there, here,
      make("rect", { x: -UNIT, y: -UNIT, width: 2 * UNIT, height: 2 * UNIT, class: "npf-frame" }),
      make("g", { class: "npf-scale", "aria-hidden": "true" },
        make("text", { x: -UNIT, y: 113 }, number(-net.half, 0)), make("text", { x: 0, y: 113, "text-anchor": "middle" },
          "first input →, second ↑"), make("text", { x: UNIT, y: 113, "text-anchor": "end" }, number(net.half, 0))),
      ...handles);
    // A pattern that only occurs on an edge has no region of its own.
    const mark = (shape, gates) => assign(shape, "points", corners.get(gates.flat().join("")) ?? "");
    return { svg, handles, edges, show(seen, points) {
      mark(here, seen.gates);
      mark(there, seen.gates2);
      points.forEach((p, k) => {
        const place = [(p[0] * UNIT) / net.half, (-p[1] * UNIT) / net.half];
        assign(handles[k], "transform", `translate(${place[0]} ${place[1]})`);
        assign(handles[k], "aria-valuenow", String(p[0]));
        assign(handles[k], "aria-valuetext", `first input ${number(p[0], 2)}, second input ${number(p[1], 2)}`);
      });
    } };
  }

  function drawNetwork(net, highlight) {
    const sizes = [...net.weights.map((weight) => weight[0].length), 1];
    const [width, height, top] = [340, 330, 24];
    const across = (l) => 34 + (l * (width - 74)) / (sizes.length - 1);
    const down = (l, i) => top + ((height - top) * (i + 0.5)) / sizes[l];
    const largest = Math.max(...net.weights.flat(2).map(Math.abs));
    const lines = net.weights.map((weight, l) => weight.map((row, i) => row.map((theta, j) => {
      const size = Math.abs(theta) / largest;
      const line = make("line", { x1: across(l), y1: down(l, j), x2: across(l + 1), y2: down(l + 1, i) });
      line.style.setProperty("--npf-wide", (0.8 + 3.4 * size).toFixed(2));
      if (theta < 0) line.classList.add("npf-negative");
      return line;
    })));
    const nodes = sizes.map((size, l) => Array.from({ length: size }, (_, i) => {
      const hidden = l > 0 && l < sizes.length - 1, value = make("text", { y: 3.5, class: "npf-value" });
      const node = make("g", { class: hidden ? "npf-unit" : "npf-end", transform: `translate(${across(l)} ${down(l, i)})` },
        make("circle", { r: 17, class: "npf-on" }), make("rect", { x: -16, y: -13, width: 32, height: 26, class: "npf-off" }),
        value);
      if (l < sizes.length - 1) node.append(make("text", { x: -20, y: -11, class: "npf-name" }, String(i + 1)));
      if (hidden) {
        node.append(make("path", { d: "M17-18l5 5-5 5-5-5z", class: "npf-second" }));
        assign(node, "role", "button");
        assign(node, "aria-pressed", "false");
        assign(node, "tabindex", l === 1 && i === 0 ? "0" : "-1");
        node.addEventListener("click", () => highlight(l - 1, i));
      }
      return { node, value };
    }));
    const units = nodes.slice(1, -1).flatMap((layer, l) => layer.map(({ node }, i) => ({ node, l, i })));
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group",
        "aria-label": "The network; its units are buttons that mark their edge in the plane" },
      make("g", { class: "npf-lines", "aria-hidden": "true" }, ...lines.flat(2)),
      make("g", { class: "npf-titles", "aria-hidden": "true" }, ...sizes.map((_, l) => make("text", { x: across(l), y: 12 },
        l === 0 ? "inputs" : l === sizes.length - 1 ? "output ŷ" : `layer ${l}`))),
      ...nodes.flat().map(({ node }) => node));
    svg.addEventListener("keydown", (event) => {
      const k = units.findIndex(({ node }) => node === document.activeElement);
      if (k < 0) return;
      const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (by) {
        const next = units[(k + by + units.length) % units.length].node;
        units.forEach(({ node }) => assign(node, "tabindex", node === next ? "0" : "-1"));
        next.focus();
      } else if (event.key === "Enter" || event.key === " ") highlight(units[k].l, units[k].i);
      else return;
      event.preventDefault();
    });
    return { svg, lines, units, show(seen) {
      const states = [seen.input.map(() => 1), ...seen.gates, [1]];
      const values = [seen.input, ...seen.q, [seen.output]];
      nodes.forEach((layer, l) => layer.forEach(({ node, value }, i) => {
        node.classList.toggle("npf-is-on", states[l][i] === 1);
        write(value, number(values[l][i], 2));
        if (!node.classList.contains("npf-unit")) return;
        node.classList.toggle("npf-is-second", seen.gates2[l - 1][i] === 1);
        assign(node, "aria-label", `layer ${l}, unit ${i + 1}: ${states[l][i] ? "on" : "off"} at x, ` +
          `${seen.gates2[l - 1][i] ? "on" : "off"} at x prime; mark its edge`);
      }));
      lines.forEach((layer, l) => layer.forEach((row, i) => row.forEach((line, j) =>
        line.classList.toggle("npf-is-on", states[l][j] === 1 && states[l + 1][i] === 1))));
    } };
  }

  function drawPaths(paths, lines) {
    const rows = paths.map(({ path, value }) => {
      const cells = ["φ", "v", "φv", "φ′"].map(() => make("td"));
      const row = make("tr", { "data-v": String(value) },
        make("th", { scope: "row" }, path.map((node) => node + 1).join("→")), ...cells);
      write(cells[1], number(value));
      return { row, cells };
    });
    const head = ["path", "φ(x)", "v", "φ(x) · v", "φ(x′)"].map((text) => make("th", { scope: "col" }, text));
    const total = make("td"), body = make("tbody", {}, ...rows.map(({ row }) => row));
    const foot = make("tfoot", {}, make("tr", {}, make("th", { scope: "row" }, "sum"), make("td"), make("td"), total, make("td")));
    const table = make("table", {}, make("caption", {}, "Paths, one node a layer, numbered as in the network"),
      make("thead", {}, make("tr", {}, ...head)), body, foot);
    const trace = (p) => {
      lines.flat(2).forEach((line) => line.classList.remove("npf-traced"));
      if (p >= 0) paths[p].path.forEach((node, l) => lines[l][paths[p].path[l + 1] ?? 0][node].classList.add("npf-traced"));
    };
    body.addEventListener("pointerover", (event) => trace(rows.findIndex(({ row }) => row.contains(event.target))));
    body.addEventListener("pointerleave", () => trace(-1));
    return { table, show(seen) {
      rows.forEach(({ row, cells }, p) => {
        const [isOpen, isOpen2] = [open(paths[p].path, seen.gates), open(paths[p].path, seen.gates2)];
        row.classList.toggle("npf-closed", !isOpen);
        assign(row, "data-phi", String(seen.features[p]));
        assign(row, "data-phi2", String(seen.features2[p]));
        assign(row, "data-product", String(seen.products[p]));
        write(cells[0], isOpen ? number(seen.features[p]) : "0");
        write(cells[2], isOpen ? number(seen.products[p]) : "0");
        write(cells[3], isOpen2 ? number(seen.features2[p]) : "0");
      });
      write(total, number(seen.sum));
    } };
  }

  /** Two cards of equations; each line is a name, a formula with numbers, and its value. */
  function drawFacts() {
    const line = (name) => ({ name: make("dt", {}, name), value: make("dd") });
    const one = [line("⟨φ(x), v⟩, path by path"), line("ŷ(x), the network run forwards"), line("they differ by")];
    const two = [line("Λ, open for both"), line("Σ = ⟨x, x′⟩"), line("H = Σ · Λ"), line("⟨φ(x), φ(x′)⟩, path by path")];
    const list = (lines) => make("dl", {}, ...lines.flatMap(({ name, value }) => [name, value]));
    const count = make("p"), pair = make("p");
    const cards = [["One input: a sum over paths", count, one], ["Two inputs: the kernel", pair, two]].map(([title, text, lines]) =>
      make("section", { "aria-label": title }, make("p", { class: "npf-title" }, title), text, list(lines)));
    return { cards, show(seen, points, paths) {
      write(count, `At x = ${coordinates(points[0])} ${seen.open} of ${paths.length} paths are open.`);
      write(pair, `At x′ = ${coordinates(points[1])} ${seen.open2} are open; ŷ(x′) = ${number(seen.output2)}.`);
      const factors = seen.common.join(" · ");
      const texts = [number(seen.sum), number(seen.output), error(Math.abs(seen.sum - seen.output)),
        `${factors} = ${seen.overlap}`, number(seen.inner), number(seen.kernel), number(seen.gram)];
      [...one, ...two].forEach(({ value }, k) => write(value, texts[k]));
    } };
  }

  function build(root) {
    const net = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const paths = everyPath(net);
    for (const [name, colour] of Object.entries(net.colours)) root.style.setProperty(`--npf-given-${name}`, colour);
    let points = net.start.map((p) => [...p]), seen = null, marked = null, timer = 0, flips = [];

    const plane = drawPlane(net);
    const highlight = (layer, unit) => {
      marked = marked === `${layer}-${unit}` ? null : `${layer}-${unit}`;
      plane.edges.forEach((edge) => edge.line.classList.toggle("npf-marked", `${edge.layer}-${edge.unit}` === marked));
      network.units.forEach(({ node, l, i }) => assign(node, "aria-pressed", String(`${l}-${i}` === marked)));
      const told = `Unit ${unit + 1} of layer ${layer + 1} has no edge in this square: its gate never switches here.`;
      if (marked && !plane.edges.some((edge) => `${edge.layer}-${edge.unit}` === marked)) {
        write(last, told);
        write(live, told);
      }
    };
    const network = drawNetwork(net, highlight), table = drawPaths(paths, network.lines), facts = drawFacts();
    const last = make("p", { class: "npf-last" }, "No gate has changed yet.");
    const live = make("p", { class: "npf-live", "aria-live": "polite" });
    const all = make("input", { type: "checkbox" }), reset = make("button", { type: "button" }, "Back to the start");

    function render() {
      const before = seen;
      seen = at(net, paths, points[0], points[1]);
      plane.show(seen, points);
      network.show(seen);
      table.show(seen);
      facts.show(seen, points, paths);
      const state = { x: points[0].join(" "), x2: points[1].join(" "), gates: seen.gates.map((g) => g.join("")).join(" "),
        gates2: seen.gates2.map((g) => g.join("")).join(" ") };
      for (const name of ["open", "open2", "output", "output2", "sum", "overlap", "inner", "kernel", "gram"])
        state[name] = seen[name];
      for (const [name, value] of Object.entries(state)) assign(root, `data-${name}`, String(value));
      const flipped = [];
      for (const [key, point] of [["gates", "x"], ["gates2", "x′"]])
        before?.[key].forEach((layer, l) => layer.forEach((on, i) => {
          if (on !== seen[key][l][i]) flipped.push(`unit ${i + 1} of layer ${l + 1} is now ${on ? "off" : "on"} for ${point}`);
        }));
      if (flipped.length) {
        write(last, `Gate switched: ${flipped.join("; ")}.`);
        flips.push(...flipped);
      }
      if (!before) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        const on = seen.gates.map((layer, l) => `layer ${l + 1}: ${listed(layer)}`).join("; ");
        write(live, `${flips.length ? flips.join("; ") + ". " : ""}x at ${coordinates(points[0])}, x prime at ` +
          `${coordinates(points[1])}. Units on at x, ${on}. ${seen.open} of ${paths.length} paths open. Output ` +
          `${number(seen.output)}. Overlap ${seen.overlap}, kernel ${number(seen.kernel)}.`);
        flips = [];
      }, 400);
    }

    const inside = (value) => Math.min(net.half, Math.max(-net.half, Math.round(value * 1e6) / 1e6));
    let waiting = 0;
    function move(k, p, now = true) {
      points[k] = p.map(inside);
      if (now) return render();
      // A mouse reports more often than the screen is drawn.
      waiting ||= requestAnimationFrame(() => { waiting = 0; render(); });
    }

    const place = (event) => {
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(plane.svg.getScreenCTM().inverse());
      return [(p.x * net.half) / UNIT, (-p.y * net.half) / UNIT];
    };
    plane.handles.forEach((handle, k) => {
      handle.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        event.preventDefault();
        event.stopPropagation();
        handle.focus({ preventScroll: true });
        handle.setPointerCapture(event.pointerId);
        const [from, start] = [place(event), points[k]];
        const drag = (e) => {
          const to = place(e);
          move(k, [start[0] + to[0] - from[0], start[1] + to[1] - from[1]], false);
        };
        const end = () => {
          handle.removeEventListener("pointermove", drag);
          ["pointerup", "pointercancel"].forEach((name) => handle.removeEventListener(name, end));
        };
        handle.addEventListener("pointermove", drag);
        ["pointerup", "pointercancel"].forEach((name) => handle.addEventListener(name, end));
      });
      handle.addEventListener("click", (event) => event.stopPropagation());
      handle.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
        if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        const step = STEP * net.half * (event.shiftKey ? BIG : 1);
        move(k, [points[k][0] + step * way[0], points[k][1] + step * way[1]]);
      });
    });
    plane.svg.addEventListener("click", (event) => move(0, place(event)));
    all.addEventListener("change", () => root.classList.toggle("npf-all", all.checked));
    reset.addEventListener("click", () => { points = net.start.map((p) => [...p]); render(); });

    const key = (text) => make("p", { class: "npf-key" }, text);
    root.replaceChildren(
      make("div", { class: "npf-panels" },
        make("div", {}, plane.svg, key("Shade: how many paths are open. Thin lines: a gate’s edge, dashed in layer 2 and up. " +
          "Thick line: ŷ = 0. Marks + and −: the examples.")),
        make("div", {}, network.svg, key("Circle: on at x. Dashed box: off. ◆: on at x′. In each its pre-activation. A line is as wide " +
          "as its weight; dashed is negative. Press a unit to mark its edge in the plane."))),
      make("div", { class: "npf-bar" }, last, reset), make("div", { class: "npf-cards" }, ...facts.cards),
      make("label", { class: "npf-choice" }, all, " list the paths that are closed at x, too"),
      make("div", { class: "npf-scroll", tabindex: 0, role: "region", "aria-label": "List of paths" }, table.table), live);
    root.explorer = {
      set(x, x2) { points = [x, x2 ?? points[1]].map((p) => [...p]); render(); },
      state: () => ({ points, ...seen }),
    };
    render();
    root.classList.add("npf-ready");
  }

  document.querySelectorAll(".npf-explorer:not(.npf-ready)").forEach(build);
})();
