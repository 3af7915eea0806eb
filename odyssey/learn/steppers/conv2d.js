// conv2d: out, and the gradients of the bias, the kernel and the image.

// Output pixels along an edge.
function outputs({size, kernel, stride, padding}) {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

const operation = {
  options: [
    {name: "size", label: "Image", values: () => [3, 4, 5], text: (v) => `${v} × ${v}`},
    {name: "kernel", label: "Kernel", values: () => [1, 2, 3], text: (v) => `${v} × ${v}`},
    {name: "stride", label: "Stride", values: () => [1, 2, 3]},
    {name: "padding", label: "Padding", values: (o) => (o.kernel > 1 ? [0, 1] : [0])},
    {name: "C", label: "Input channels", values: () => [1, 2]},
    {name: "K", label: "Output channels", values: () => [1, 2]},
  ],
  columns: [
    ["x", "grad_input"], ["kernel", "grad_kernel", "bias", "grad_bias"], ["out", "grad_output"],
  ],

  arrays(o) {
    const {size, kernel, padding, C, K} = o;
    const P = outputs(o);
    return {
      x: {axes: "nchw", shape: [1, C, size, size], input: true, pad: padding},
      kernel: {axes: "kcrs", shape: [K, C, kernel, kernel], input: true},
      bias: {axes: "k", shape: [K], input: true},
      out: {axes: "nkpq", shape: [1, K, P, P]},
      grad_output: {axes: "nkpq", shape: [1, K, P, P], input: true},
      grad_bias: {axes: "k", shape: [K]},
      grad_kernel: {axes: "kcrs", shape: [K, C, kernel, kernel]},
      grad_input: {axes: "nchw", shape: [1, C, size, size]},
    };
  },

  note(o) {
    const lengths = {N: 1, C: o.C, K: o.K, R: o.kernel, S: o.kernel, P: outputs(o), Q: outputs(o)};
    const ones = Object.keys(lengths).filter((axis) => lengths[axis] === 1);
    const pad = o.padding ? " The zeros with a dashed border are the padding." : "";
    return `An axis of length 1 (${ones.join(", ")}) is left out of the indices.${pad}`;
  },

  run(rec, o) {
    const {C, K, stride, padding} = o;
    const R = o.kernel;
    const P = rec.arrays.out.shape[2];
    const pixel = (c, p, q, r, s) => [0, c, p * stride + r - padding, q * stride + s - padding];
    const value = (at) => rec.get("x", ...at) ?? 0; // 0 in the padding
    const said = (at) => (rec.grids.x.flat(at) < 0
      ? "a zero of the padding" : `${rec.label("x", at)} = ${num(value(at))}`);
    const times = stride > 1 ? `${stride}·` : "";
    const less = padding ? ` − ${padding}` : "";
    // Indices that are always 0 are left out, as in the formula.
    const place = (p, r) => ([P > 1 && times + p, R > 1 && r].filter(Boolean).join(" + ") || "0") + less;
    const places = `h = ${place("p", "r")},  w = ${place("q", "s")}`;
    const taps = range(C).flatMap((c) => range(R).flatMap((r) => range(R).map((s) => [c, r, s])));
    const pixels = range(P).flatMap((p) => range(P).map((q) => [p, q]));

    rec.stage("forward", "out", `${rec.symbol("out")} = ${rec.sum({c: C, r: R, s: R})}`
      + `[[product|${rec.symbol("x")} · ${rec.symbol("kernel")}]] + [[bias|${rec.symbol("bias")}]]`, places);
    for (const [, k, p, q] of rec.grids.out.indices()) {
      const context = taps.map(([c, r, s]) => ["x", pixel(c, p, q, r, s)]);
      rec.element("out", [0, k, p, q], {context});
      let sum = 0;
      taps.forEach(([c, r, s], i) => {
        const at = pixel(c, p, q, r, s);
        const weight = rec.get("kernel", k, c, r, s);
        sum += value(at) * weight;
        rec.term(`${num(value(at))}·${factor(weight)}`, sum, {
          join: i ? " + " : "", key: "product", reads: [["x", at], ["kernel", [k, c, r, s]]],
          words: `${said(at)} times ${rec.label("kernel", [k, c, r, s])} = ${num(weight)} gives ${num(value(at) * weight)}.`,
        });
      });
      const bias = rec.get("bias", k);
      rec.term(factor(bias), sum + bias, {
        key: "bias", reads: [["bias", [k]]], words: `The bias ${num(bias)} is added.`,
      });
    }

    rec.stage("backward", "grad_bias", `${rec.symbol("grad_bias")} = ${rec.sum({p: P, q: P})}`
      + `[[grad_bias|${rec.symbol("grad_output")}]]`);
    for (const k of range(K)) {
      rec.element("grad_bias", [k]);
      rec.total(pixels.map(([p, q]) => {
        const at = [0, k, p, q];
        const g = rec.get("grad_output", ...at);
        return {
          text: factor(g), value: g, reads: [["grad_output", at]],
          words: `The bias was added to ${rec.label("out", at)}: all of its gradient ${num(g)} arrives.`,
        };
      }), {key: "grad_bias"});
    }

    rec.stage("backward", "grad_kernel", `${rec.symbol("grad_kernel")} = ${rec.sum({p: P, q: P})}`
      + `[[grad_kernel|${rec.symbol("grad_output")} · ${rec.symbol("x")}]]`, places);
    for (const [k, c, r, s] of rec.grids.grad_kernel.indices()) {
      const context = pixels.map(([p, q]) => ["x", pixel(c, p, q, r, s)]);
      rec.element("grad_kernel", [k, c, r, s], {context});
      rec.total(pixels.map(([p, q]) => {
        const at = pixel(c, p, q, r, s);
        const g = rec.get("grad_output", 0, k, p, q);
        return {
          text: `${num(g)}·${factor(value(at))}`, value: g * value(at),
          reads: [["grad_output", [0, k, p, q]], ["x", at]],
          words: `For ${rec.label("out", [0, k, p, q])} this weight was multiplied by ${said(at)}. So `
            + `${rec.label("grad_output", [0, k, p, q])} = ${num(g)}, times that, arrives: ${num(g * value(at))}.`,
        };
      }), {key: "grad_kernel"});
    }

    // Solved for p; if there is one output alone, for the tap that lies on the pixel.
    const shifted = (h, r) => `${h}${padding ? ` + ${padding}` : ""}${R > 1 ? ` − ${r}` : ""}`;
    const fraction = (h, r) => (stride > 1 ? `${R > 1 ? `(${shifted(h, r)})` : shifted(h, r)}/${stride}` : shifted(h, r));
    const solved = P > 1
      ? `p = ${fraction("h", "r")},  q = ${fraction("w", "s")}, where these are whole numbers from 0 to ${P - 1}`
      : R > 1 ? `r = h${padding ? ` + ${padding}` : ""},  s = w${padding ? ` + ${padding}` : ""}, where these are from 0 to ${R - 1}`
        : "for h = 0 and w = 0; 0 for all others";
    const tapped = P > 1 ? R : 1; // taps of a pixel in each direction, to sum over
    rec.stage("backward", "grad_input", `${rec.symbol("grad_input")} = ${rec.sum({k: K, r: tapped, s: tapped})}`
      + `[[grad_input|${rec.symbol("grad_output")} · ${rec.symbol("kernel")}]]`, solved);
    for (const [, c, h, w] of rec.grids.grad_input.indices()) {
      const reached = [];
      for (const k of range(K)) {
        for (const [, r, s] of taps.filter((tap) => tap[0] === 0)) {
          const [p, q] = [(h + padding - r) / stride, (w + padding - s) / stride];
          if (rec.grids.out.flat([0, k, p, q]) >= 0 && Number.isInteger(p) && Number.isInteger(q)) {
            reached.push([k, r, s, p, q]);
          }
        }
      }
      const context = reached.flatMap(([k, r, s, p, q]) => [
        ["grad_output", [0, k, p, q]], ["kernel", [k, c, r, s]]]);
      rec.element("grad_input", [0, c, h, w], {context: [...context, ["x", [0, c, h, w]]]});
      if (!reached.length) {
        rec.term("0", 0, {join: "", key: "grad_input", words: "No tap of any output reads this pixel."});
      }
      rec.total(reached.map(([k, r, s, p, q]) => {
        const g = rec.get("grad_output", 0, k, p, q);
        const weight = rec.get("kernel", k, c, r, s);
        return {
          text: `${num(g)}·${factor(weight)}`, value: g * weight,
          reads: [["grad_output", [0, k, p, q]], ["kernel", [k, c, r, s]]],
          words: `For ${rec.label("out", [0, k, p, q])} this pixel was under the tap ${rec.label("kernel", [k, c, r, s])} = ${num(weight)}. So `
            + `${rec.label("grad_output", [0, k, p, q])} = ${num(g)}, times that, arrives: ${num(g * weight)}.`,
        };
      }), {key: "grad_input"});
    }
  },
};
