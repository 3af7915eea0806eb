// A residual block: two ways through the forward, a gradient that splits and meets.

// The picture of the block: its nodes, and what each part of the computation goes through.
const NODES = ["x", "conv1", "bn1", "relu", "conv2", "bn2", "+", "relu"];
const PARTS = {
  conv1: [[1], [0]], bn1: [[2], [1]], relu1: [[3], [2]], conv2: [[4], [3]], branch: [[5], [4]],
  sum: [[6], [5, 7]], out: [[7], [6]], grad_sum: [[7], []], fork: [[6], [6, 5, 7]], grad_conv2: [[5], [5]],
  grad_kernel2: [[4], [4]], grad_relu1: [[4], [4]], grad_bn1: [[3], [3]], grad_conv1: [[2], [2]],
  grad_kernel1: [[1], [1]], grad_by_branch: [[1], [1]], grad_input: [[0], [0, 7]],
};

function drawMap() {
  const draw = (tag, attributes, ...children) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const left = (i) => 2 + 47.6 * i;
  const svg = draw("svg", {viewBox: "0 0 376 58", role: "img", "aria-label": "x, conv1, bn1, relu, conv2, bn2, addition of x by the shortcut, relu"});
  const edge = (path, along, against) => draw("g", {class: "edge"}, draw("path", {d: path}),
    draw("polygon", {class: "along", points: along}), draw("polygon", {class: "against", points: against}));
  for (let i = 0; i < NODES.length - 1; i += 1) {
    const [a, b] = [left(i) + 39, left(i + 1)];
    svg.append(edge(`M${a},45H${b}`, `${b},45 ${b - 5},42 ${b - 5},48`, `${a},45 ${a + 5},42 ${a + 5},48`));
  }
  const [a, b] = [left(0) + 19, left(6) + 19];
  svg.append(edge(`M${a},34V12H${b}V34`, `${b},34 ${b - 3.5},28 ${b + 3.5},28`, `${a},34 ${a - 3.5},28 ${a + 3.5},28`));
  svg.append(draw("text", {x: (a + b) / 2, y: 8}, "shortcut"));
  NODES.forEach((name, i) => {
    svg.append(draw("g", {class: "node"}, draw("rect", {x: left(i), y: 34, width: 39, height: 22, rx: 4}),
      draw("text", {x: left(i) + 19.5, y: 48.5}, name)));
  });
  return svg;
}

const operation = {
  wide: true, // room for numbers with three decimals
  show({rec}, step) {
    const map = document.getElementById("map");
    if (!map.firstChild) map.append(drawMap());
    const stage = step && rec.stages[step.stage];
    const [nodes, edges] = (stage && PARTS[stage.id]) || [[], []];
    map.firstChild.setAttribute("class", stage?.part || "forward");
    map.querySelectorAll(".node").forEach((node, i) => node.classList.toggle("on", nodes.includes(i)));
    map.querySelectorAll(".edge").forEach((node, i) => node.classList.toggle("on", edges.includes(i)));
  },

  options: [
    {name: "eps", label: "eps", values: () => [0.00001, 0.1, 4], text: (v) => (v < 0.001 ? "0.00001" : String(v))},
  ],
  columns: [
    ["x", "grad_input"], ["grad_by_branch", "grad_shortcut"], ["kernel1", "grad_kernel1"], ["conv1", "grad_conv1"],
    ["mean1", "rstd1", "gamma1", "beta1", "grad_gamma1", "grad_beta1"],
    ["bn1", "grad_bn1"], ["relu1", "grad_relu1"], ["kernel2", "grad_kernel2"], ["conv2", "grad_conv2"],
    ["mean2", "rstd2", "gamma2", "beta2", "grad_gamma2", "grad_beta2"],
    ["branch", "grad_branch"], ["sum", "grad_sum"], ["out", "grad_output"],
  ],

  arrays() {
    const image = {axes: "nchw", shape: [1, 1, 2, 2], plain: true};
    const kernel = {axes: "kcrs", shape: [1, 1, 3, 3], plain: true};
    const number = {axes: "c", shape: [1]};
    const arrays = {x: {...image, input: true}, grad_output: {...image, input: true}};
    for (const i of ["1", "2"]) {
      Object.assign(arrays, {
        [`kernel${i}`]: {...kernel, input: true}, [`gamma${i}`]: {...number, input: true}, [`beta${i}`]: {...number, input: true},
        [`conv${i}`]: image, [`mean${i}`]: number, [`rstd${i}`]: number, [`grad_conv${i}`]: image, [`grad_kernel${i}`]: kernel,
        [`grad_beta${i}`]: number, [`grad_gamma${i}`]: number,
      });
    }
    for (const name of ["bn1", "relu1", "branch", "sum", "out", "grad_sum", "grad_branch", "grad_shortcut", "grad_relu1",
      "grad_bn1", "grad_by_branch", "grad_input"]) {
      arrays[name] = image;
    }
    return arrays;
  },

  note() {
    return "One image of one channel: n, c and k are left out of the indices. The convolutions have padding 1, "
      + "and no bias: batch norm would take it away. A step makes an element; the pages of conv2d and "
      + "batch_norm2d show the terms of each.";
  },

  run(rec, o) {
    const eps = o.eps < 0.001 ? "0.00001" : num(o.eps);
    const pixels = rec.grids.x.indices();
    const M = pixels.length;
    const value = (name, at = [0]) => rec.get(name, ...at);
    const label = (name, at) => rec.label(name, at);
    const equals = (name, at = [0]) => `${label(name, at)} = ${num(value(name, at))}`;
    const all = (name) => pixels.map((at) => [name, at]);
    const added = (numbers) => numbers.map((v, i) => (i ? factor(v) : num(v))).join(" + ");
    const total = (numbers) => numbers.reduce((a, b) => a + b, 0);
    // One element in one step.
    const set = (target, at, text, result, step) => {
      rec.element(target, at);
      rec.term(text, result, {join: "", ...step});
    };
    // The sum of products as text, and its value.
    const products = (pairs) => ({
      text: pairs.map(([a, b], i) => `${i ? factor(a) : num(a)}·${factor(b)}`).join(" + ") || "0",
      value: total(pairs.map(([a, b]) => a * b)),
    });
    const taps = rec.grids.kernel1.indices();
    const under = ([, , p, q], [, , r, s]) => [0, 0, p + r - 1, q + s - 1];
    const inside = (at) => rec.grids.x.flat(at) >= 0;

    const convolution = (target, image, kernel) => {
      rec.stage("forward", target, `${target}[p,q] = Σ{r,s} [[${target}|${image}[h,w] · ${kernel}[r,s]]]`, "h = p + r − 1,  w = q + s − 1");
      for (const at of pixels) {
        const used = taps.filter((tap) => inside(under(at, tap)));
        const {text, value: result} = products(used.map((tap) => [value(image, under(at, tap)), value(kernel, tap)]));
        set(target, at, text, result, {
          key: target, reads: used.flatMap((tap) => [[image, under(at, tap)], [kernel, tap]]),
          words: `${used.length} taps of ${kernel} lie on a pixel of ${image}; the others lie on the padding.`,
        });
      }
    };
    const normalize = (target, image, i) => {
      const [mean, rstd, gamma, beta] = ["mean", "rstd", "gamma", "beta"].map((name) => name + i);
      rec.stage("forward", target, `${target}[h,w] = [[${target}|${gamma} · (${image}[h,w] − ${mean}) · ${rstd} + ${beta}]]`,
        `[[mean|${mean} is that of ${image}]],  [[rstd|${rstd} = 1 / √(var + eps)]]`);
      const values = pixels.map((at) => value(image, at));
      const average = total(values) / M;
      set(mean, [0], `(${added(values)}) / ${M}`, average, {key: "mean", line: target, reads: all(image), words: `The mean of ${image}.`});
      const variance = total(values.map((v) => (v - average) ** 2)) / M;
      set(rstd, [0], `1 / √(${num(variance)} + ${eps})`, 1 / Math.sqrt(variance + o.eps), {
        key: "rstd", line: target, reads: [...all(image), [mean, [0]]],
        words: `The variance of ${image} is ${num(variance)}: the mean of the squared distances from ${mean}.`,
      });
      for (const at of pixels) {
        set(target, at, `${num(value(gamma))}·(${num(value(image, at))} − ${factor(average)})·${num(value(rstd))} + ${factor(value(beta))}`,
          value(gamma) * (value(image, at) - average) * value(rstd) + value(beta), {
            key: target, reads: [[image, at], [mean, [0]], [rstd, [0]], [gamma, [0]], [beta, [0]]],
            words: `${equals(image, at)}, normalised, times ${gamma}, plus ${beta}.`,
          });
      }
    };
    const rectify = (target, image) => {
      rec.stage("forward", target, `${target}[h,w] = max(0, [[${target}|${image}[h,w]]])`);
      for (const at of pixels) {
        const v = value(image, at);
        set(target, at, `max(0, ${num(v)})`, Math.max(0, v), {
          key: target, reads: [[image, at]], words: v > 0 ? `${equals(image, at)} is positive: it passes.` : `${equals(image, at)} is not positive: 0 in its place.`,
        });
      }
    };
    const rectifyBackward = (target, upstream, image) => {
      rec.stage("backward", target, `${target}[h,w] = [[${target}|${upstream}[h,w]]] if ${image}[h,w] > 0, else 0`);
      for (const at of pixels) {
        const open = value(image, at) > 0;
        set(target, at, open ? num(value(upstream, at)) : "0", open ? value(upstream, at) : 0, {
          key: target, reads: [[upstream, at], [image, at]],
          words: open ? `${equals(image, at)} passed the relu: ${equals(upstream, at)} passes back.` : `${equals(image, at)} did not pass the relu: no gradient passes back.`,
        });
      }
    };
    const normalizeBackward = (target, upstream, image, i) => {
      const [mean, rstd, gamma, gradGamma, gradBeta] = ["mean", "rstd", "gamma", "grad_gamma", "grad_beta"].map((name) => name + i);
      const xhat = (at) => (value(image, at) - value(mean)) * value(rstd);
      rec.stage("backward", target, `${target}[h,w] = [[${target}|${gamma} · ${rstd} · (${upstream}[h,w] − ${gradBeta} / ${M} − xhat[h,w] · ${gradGamma} / ${M})]]`,
        `[[beta|${gradBeta} = Σ ${upstream}]],  [[gamma|${gradGamma} = Σ ${upstream} · xhat]],  xhat = (${image} − ${mean}) · ${rstd}`);
      const g = pixels.map((at) => value(upstream, at));
      set(gradBeta, [0], added(g), total(g), {key: "beta", line: target, reads: all(upstream), words: "beta was added to every element: all their gradients arrive."});
      const {text, value: result} = products(pixels.map((at) => [value(upstream, at), xhat(at)]));
      set(gradGamma, [0], text, result, {
        key: "gamma", line: target, reads: [...all(upstream), ...all(image), [mean, [0]], [rstd, [0]]],
        words: "gamma was multiplied by xhat: each gradient arrives times its xhat.",
      });
      for (const at of pixels) {
        const slope = value(gamma) * value(rstd);
        const inner = value(upstream, at) - value(gradBeta) / M - (xhat(at) * value(gradGamma)) / M;
        set(target, at, `${num(value(gamma))}·${num(value(rstd))}·(${num(value(upstream, at))} − ${factor(value(gradBeta))}/${M} − ${factor(xhat(at))}·${factor(value(gradGamma))}/${M})`,
          slope * inner, {
            key: target, reads: [[upstream, at], [image, at], [mean, [0]], [rstd, [0]], [gamma, [0]], [gradBeta, [0]], [gradGamma, [0]]],
            words: `Directly ${num(value(upstream, at))}, less what comes through the mean, ${num(value(gradBeta) / M)}, and through the variance, ${num((xhat(at) * value(gradGamma)) / M)}; all times gamma · rstd.`,
          });
      }
    };
    const convolutionBackward = (target, upstream, image, kernel) => {
      rec.stage("backward", `grad_${kernel}`, `grad_${kernel}[r,s] = Σ{p,q} [[grad_${kernel}|${upstream}[p,q] · ${image}[h,w]]]`,
        "h = p + r − 1,  w = q + s − 1");
      for (const tap of taps) {
        const used = pixels.filter((at) => inside(under(at, tap)));
        const {text, value: result} = products(used.map((at) => [value(upstream, at), value(image, under(at, tap))]));
        set(`grad_${kernel}`, tap, text, result, {
          key: `grad_${kernel}`, line: target, reads: used.flatMap((at) => [[upstream, at], [image, under(at, tap)]]),
          words: `${label(kernel, tap)} lay on a pixel for ${used.length === 1 ? "1 output" : `${used.length} outputs`}; the gradient of each arrives times that pixel.`,
        });
      }
      rec.stage("backward", target, `${target}[h,w] = Σ{r,s} [[${target}|${upstream}[p,q] · ${kernel}[r,s]]]`, "p = h + 1 − r,  q = w + 1 − s");
      for (const at of pixels) {
        const from = taps.map((tap) => [[0, 0, at[2] + 1 - tap[2], at[3] + 1 - tap[3]], tap]).filter(([output]) => inside(output));
        const {text, value: result} = products(from.map(([output, tap]) => [value(upstream, output), value(kernel, tap)]));
        set(target, at, text, result, {
          key: target, reads: from.flatMap(([output, tap]) => [[upstream, output], [kernel, tap]]),
          words: `${label(image, at)} went into ${from.length} outputs; the gradient of each arrives times the weight it met there.`,
        });
      }
    };

    convolution("conv1", "x", "kernel1");
    normalize("bn1", "conv1", "1");
    rectify("relu1", "bn1");
    convolution("conv2", "relu1", "kernel2");
    normalize("branch", "conv2", "2");
    rec.stage("forward", "sum", "sum[h,w] = [[main|branch[h,w]]] + [[shortcut|x[h,w]]]", "the two ways meet");
    for (const at of pixels) {
      rec.element("sum", at);
      rec.term(num(value("branch", at)), value("branch", at), {join: "", key: "main", line: "sum", reads: [["branch", at]], words: `${equals("branch", at)} comes through the convolutions.`});
      rec.term(factor(value("x", at)), value("branch", at) + value("x", at), {key: "shortcut", line: "sum", reads: [["x", at]], words: `${equals("x", at)} comes on the shortcut.`});
    }
    rectify("out", "sum");

    rectifyBackward("grad_sum", "grad_output", "sum");
    rec.stage("backward", "fork", "grad_branch[h,w] = [[fork|grad_sum[h,w]]],  grad_shortcut[h,w] = [[fork|grad_sum[h,w]]]",
      "sum = branch + x: a change of either changes sum by as much");
    for (const at of pixels) {
      const g = value("grad_sum", at);
      set("grad_branch", at, num(g), g, {
        key: "fork", reads: [["grad_sum", at]], others: [["grad_shortcut", at, g]],
        words: `The gradient splits: ${label("grad_shortcut", at)} is ${num(g)} too. Nothing is halved.`,
      });
    }
    normalizeBackward("grad_conv2", "grad_branch", "conv2", "2");
    convolutionBackward("grad_relu1", "grad_conv2", "relu1", "kernel2");
    rectifyBackward("grad_bn1", "grad_relu1", "bn1");
    normalizeBackward("grad_conv1", "grad_bn1", "conv1", "1");
    convolutionBackward("grad_by_branch", "grad_conv1", "x", "kernel1");
    rec.stage("backward", "grad_input", "grad_input[h,w] = [[main|grad_by_branch[h,w]]] + [[shortcut|grad_shortcut[h,w]]]",
      "x was used twice: its gradients add up");
    for (const at of pixels) {
      const [main, shortcut] = [value("grad_by_branch", at), value("grad_shortcut", at)];
      rec.element("grad_input", at);
      rec.term(num(main), main, {join: "", key: "main", line: "grad_input", reads: [["grad_by_branch", at]], words: `${equals("grad_by_branch", at)} comes back through the convolutions.`});
      rec.term(factor(shortcut), main + shortcut, {key: "shortcut", line: "grad_input", reads: [["grad_shortcut", at]], words: `${equals("grad_shortcut", at)} comes back on the shortcut, unchanged.`});
    }
  },
};
