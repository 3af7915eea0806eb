// maxpool2d: the greatest pixel of each window, and the gradient that it alone gets.

// Windows along an edge.
function outputs({size, window, stride, padding}) {
  return Math.floor((size + 2 * padding - window) / stride) + 1;
}

const operation = {
  options: [
    {name: "size", label: "Image", values: () => [3, 4, 5], text: (v) => `${v} × ${v}`},
    {name: "window", label: "Window", values: () => [2, 3], text: (v) => `${v} × ${v}`},
    {name: "stride", label: "Stride", values: () => [1, 2, 3]},
    {name: "padding", label: "Padding", values: () => [0, 1]},
  ],
  columns: [["x", "grad_input"], ["out", "grad_output"]],

  arrays(o) {
    const {size, padding} = o;
    const P = outputs(o);
    const image = {axes: "nchw", shape: [1, 1, size, size]};
    const output = {axes: "ncpq", shape: [1, 1, P, P]};
    return {
      x: {...image, input: true, pad: padding, padText: "−∞"},
      out: output,
      grad_output: {...output, input: true},
      grad_input: image,
    };
  },

  note(o) {
    const pad = o.padding ? " The padding has a dashed border; it is never the greatest." : "";
    const zeros = outputs(o) > 1 ? "n = 0 and c = 0" : "n, c, p and q, which are 0,";
    return `There is one image of one channel; ${zeros} are left out of the indices.${pad}`;
  },

  run(rec, o) {
    const {size, window, stride, padding} = o;
    const P = outputs(o);
    const span = (p) => range(window).map((r) => p * stride + r - padding).filter((h) => h >= 0 && h < size);
    const pixels = ([, , p, q]) => span(p).flatMap((h) => span(q).map((w) => [0, 0, h, w]));
    const near = (at) => pixels(at).map((pixel) => ["x", pixel]);
    const times = stride > 1 ? `${stride}·` : "";
    const start = (p) => (P > 1 ? `${times}${p} + ` : ""); // of a window
    const less = padding ? ` − ${padding}` : "";
    const windows = rec.grids.out.indices();

    rec.stage("forward", "out", `${rec.symbol("out")} = max over r,s of [[out|${rec.symbol("x")}]]`,
      `h = ${start("p")}r${less},  w = ${start("q")}s${less},  r and s from 0 to ${window - 1}`);
    for (const at of windows) {
      rec.element("out", at, {open: "max(", close: ")", context: near(at)});
      let greatest = -Infinity;
      pixels(at).forEach((pixel, i) => {
        const value = rec.get("x", ...pixel);
        const said = `${rec.label("x", pixel)} = ${num(value)}`;
        const more = value > greatest;
        const words = i === 0 ? `${said} is the first pixel of this window.`
          : `${said} is ${more ? "greater than" : value === greatest ? "equal to" : "not greater than"} ${num(greatest)}.`;
        greatest = more ? value : greatest;
        rec.term(num(value), greatest, {join: i ? ", " : "", key: "out", reads: [["x", pixel]], words});
      });
    }

    rec.stage("backward", "grad_input", `${rec.symbol("grad_input")} = ${rec.sum({p: P, q: P})}[[gets|${rec.symbol("grad_output")}]]`,
      P > 1 ? "over the windows in which [[first|(h,w) is the first greatest pixel]]"
        : "if [[first|(h,w) is the first greatest pixel]], else 0");
    rec.element("grad_input");
    rec.term("0", 0, {
      join: "", key: "zeros", words: "Every pixel starts with a gradient of 0.",
      others: rec.grids.grad_input.indices().map((pixel) => ["grad_input", pixel, 0]),
    });
    for (const at of windows) {
      const values = pixels(at).map((pixel) => rec.get("x", ...pixel));
      const greatest = Math.max(...values);
      const first = pixels(at)[values.indexOf(greatest)];
      const equal = values.filter((value) => value === greatest).length;
      const g = rec.get("grad_output", ...at);
      const before = rec.get("grad_input", ...first);
      rec.element("grad_input", first, {context: near(at)});
      rec.term(num(before), before, {
        join: "", key: "first", reads: [["x", first], ["out", at]],
        words: `${rec.label("out", at)} came from ${rec.label("x", first)} = ${num(greatest)}`
          + `${equal > 1 ? `, the first of ${equal} equal pixels` : ""}.`,
      });
      rec.term(factor(g), before + g, {
        key: "gets", reads: [["x", first], ["grad_output", at]],
        words: `It gets all of ${rec.label("grad_output", at)} = ${num(g)}.`,
      });
    }
  },
};
