// batch_norm2d: statistics, the normalised values, and the three paths of the gradient.

const MOMENTUM = 0.1; // of the running statistics

const operation = {
  wide: true, // room for numbers with three decimals
  options: [
    {name: "mode", label: "Mode", values: () => ["training", "inference"]},
    {name: "eps", label: "eps", values: () => [0.00001, 0.1, 4], text: (v) => (v < 0.001 ? "0.00001" : String(v))},
  ],
  columns: [
    ["x", "grad_input"], ["mean", "var", "rstd", "shift", "stretch"],
    ["running_mean", "running_var", "new_running_mean", "new_running_var"],
    ["xhat", "grad_xhat"], ["gamma", "beta", "grad_gamma", "grad_beta"], ["out", "grad_output"],
  ],

  arrays({mode}) {
    const image = {axes: "nchw", shape: [2, 2, 1, 2], layout: {planes: [1], row: 0, column: 3}};
    const channel = {axes: "c", shape: [2]};
    const arrays = {
      x: {...image, input: true}, mean: channel, var: channel, rstd: channel,
      xhat: image, gamma: {...channel, input: true}, beta: {...channel, input: true}, out: image,
      running_mean: {...channel, input: true}, running_var: {...channel, input: true, min: 0},
      grad_output: {...image, input: true}, grad_beta: channel, grad_gamma: channel,
      grad_xhat: image, grad_input: image,
    };
    if (mode === "training") {
      Object.assign(arrays, {
        new_running_mean: channel, new_running_var: channel, shift: channel, stretch: channel,
      });
    }
    return arrays;
  },

  note(o) {
    const running = o.mode === "training"
      ? "The new running statistics are for inference; momentum is 0.1."
      : "In inference mean and var are constants: the gradient comes on the direct path alone.";
    return `Two images (n) of two channels (c), 1 pixel high (h = 0 is left out) and 2 wide (w). ${running}`;
  },

  run(rec, o) {
    const training = o.mode === "training";
    const M = 4; // values of a channel
    const eps = o.eps < 0.001 ? "0.00001" : num(o.eps);
    const channels = [0, 1];
    const places = (c) => rec.grids.x.indices().filter((at) => at[1] === c);
    const get = (name, at) => rec.get(name, ...(rec.arrays[name].axes === "c" ? [at[1] ?? at[0]] : at));
    const label = (name, at) => rec.label(name, rec.arrays[name].axes === "c" ? [at[1] ?? at[0]] : at);
    const read = (name, at) => [name, rec.arrays[name].axes === "c" ? [at[1] ?? at[0]] : at];
    const equals = (name, at) => `${label(name, at)} = ${num(get(name, at))}`;
    const symbol = (name) => rec.symbol(name);

    // A sum over the channel, divided by M if `mean`: each value is a step.
    const over = (target, key, mean, text, value, names, words) => {
      for (const c of channels) {
        const all = places(c).map((at) => ["x", at]).map(([, at]) => [names[0], at]);
        rec.element(target, [c], {open: mean ? "(" : "", close: "", context: all});
        let sum = 0;
        places(c).forEach((at, i) => {
          sum += value(at);
          rec.term(text(at), sum, {join: i ? " + " : "", key, reads: names.map((name) => read(name, at)), words: words(at)});
        });
        if (mean) {
          rec.term(`/ ${M}`, sum / M, {join: ") ", key: "count", line: key, words: `The sum is divided by the ${M} values of the channel.`});
        }
      }
    };
    // An element of each place: one step for each of `terms`.
    const each = (target, terms) => {
      for (const at of rec.grids[target].indices()) {
        rec.element(target, at);
        let sum = 0;
        terms.forEach((term, i) => {
          sum += term.value(at);
          rec.term(term.text(at), sum, {
            join: i ? term.join || " + " : "", key: term.key, line: term.line || term.key,
            reads: term.names.map((name) => read(name, at)), words: term.words(at),
          });
        });
      }
    };

    if (training) {
      rec.stage("forward", "mean", `${symbol("mean")} = Σ{n,w} [[mean|${symbol("x")}]] [[count|/ ${M}]]`);
      over("mean", "mean", true, (at) => factor(get("x", at)), (at) => get("x", at), ["x"],
        (at) => `${equals("x", at)} is added.`);
      rec.stage("forward", "var", `${symbol("var")} = Σ{n,w} [[var|(${symbol("x")} − ${symbol("mean")})²]] [[count|/ ${M}]]`);
      const square = (at) => (get("x", at) - get("mean", at)) ** 2;
      over("var", "var", true, (at) => `(${num(get("x", at))} − ${factor(get("mean", at))})²`, square, ["x", "mean"],
        (at) => `${equals("x", at)} is ${num(get("x", at) - get("mean", at))} from the mean; squared ${num(square(at))}.`);
    } else {
      for (const [name, running] of [["mean", "running_mean"], ["var", "running_var"]]) {
        rec.stage("forward", name, `${symbol(name)} = [[running|${symbol(running)}]]`);
        each(name, [{key: "running", names: [running], text: (at) => num(get(running, at)), value: (at) => get(running, at),
          words: () => "The running statistic takes the place of the batch's."}]);
      }
    }
    rec.stage("forward", "rstd", `${symbol("rstd")} = [[rstd|1 / √(${symbol("var")} + eps)]]`);
    each("rstd", [{key: "rstd", names: ["var"], text: (at) => `1 / √(${num(get("var", at))} + ${eps})`,
      value: (at) => 1 / Math.sqrt(get("var", at) + o.eps),
      words: () => "One over the standard deviation; eps keeps it finite."}]);
    rec.stage("forward", "xhat", `${symbol("xhat")} = [[xhat|(${symbol("x")} − ${symbol("mean")}) · ${symbol("rstd")}]]`);
    each("xhat", [{key: "xhat", names: ["x", "mean", "rstd"],
      text: (at) => `(${num(get("x", at))} − ${factor(get("mean", at))}) · ${num(get("rstd", at))}`,
      value: (at) => (get("x", at) - get("mean", at)) * get("rstd", at),
      words: (at) => `${equals("x", at)}, shifted by the mean and stretched by rstd.`}]);
    rec.stage("forward", "out", `${symbol("out")} = [[out|${symbol("gamma")} · ${symbol("xhat")}]] + [[beta|${symbol("beta")}]]`);
    each("out", [
      {key: "out", names: ["gamma", "xhat"], text: (at) => `${num(get("gamma", at))}·${factor(get("xhat", at))}`,
        value: (at) => get("gamma", at) * get("xhat", at), words: (at) => `${equals("gamma", at)} times ${equals("xhat", at)}.`},
      {key: "beta", line: "out", names: ["beta"], text: (at) => factor(get("beta", at)), value: (at) => get("beta", at),
        words: (at) => `${equals("beta", at)} is added.`},
    ]);
    if (training) {
      rec.stage("forward", "running", `new = [[old|(1 − ${MOMENTUM}) · running]] + [[batch|${MOMENTUM} · batch]]`,
        `the batch's var enters unbiased, times M/(M − 1) = ${M}/${M - 1}`);
      for (const [target, old, batch, line, unbiased] of [
        ["new_running_mean", "running_mean", "mean", "new_mean", 1],
        ["new_running_var", "running_var", "var", "new_var", M / (M - 1)],
      ]) {
        each(target, [
          {key: "old", line, names: [old], text: (at) => `${1 - MOMENTUM}·${factor(get(old, at))}`,
            value: (at) => (1 - MOMENTUM) * get(old, at), words: (at) => `Nine tenths of the old ${equals(old, at)}.`},
          {key: "batch", line, names: [batch], text: (at) => `${MOMENTUM}·${factor(get(batch, at))}${unbiased > 1 ? `·${M}/${M - 1}` : ""}`,
            value: (at) => MOMENTUM * get(batch, at) * unbiased, words: (at) => `One tenth of this batch's ${equals(batch, at)}.`},
        ]);
      }
    }

    rec.stage("backward", "grad_beta", `${symbol("grad_beta")} = Σ{n,w} [[grad_beta|${symbol("grad_output")}]]`);
    over("grad_beta", "grad_beta", false, (at) => factor(get("grad_output", at)), (at) => get("grad_output", at), ["grad_output"],
      (at) => `beta was added to ${label("out", at)}: all of ${equals("grad_output", at)} arrives.`);
    rec.stage("backward", "grad_gamma", `${symbol("grad_gamma")} = Σ{n,w} [[grad_gamma|${symbol("grad_output")} · ${symbol("xhat")}]]`);
    over("grad_gamma", "grad_gamma", false, (at) => `${num(get("grad_output", at))}·${factor(get("xhat", at))}`,
      (at) => get("grad_output", at) * get("xhat", at), ["grad_output", "xhat"],
      (at) => `gamma was multiplied by ${equals("xhat", at)}. So ${equals("grad_output", at)}, times that, arrives.`);
    rec.stage("backward", "grad_xhat", `${symbol("grad_xhat")} = [[grad_xhat|${symbol("grad_output")} · ${symbol("gamma")}]]`);
    each("grad_xhat", [{key: "grad_xhat", names: ["grad_output", "gamma"], text: (at) => `${num(get("grad_output", at))}·${factor(get("gamma", at))}`,
      value: (at) => get("grad_output", at) * get("gamma", at),
      words: (at) => `xhat was multiplied by ${equals("gamma", at)}. So ${equals("grad_output", at)}, times that, arrives.`}]);
    const direct = {key: "direct", line: "grad_input", names: ["rstd", "grad_xhat"],
      text: (at) => `${num(get("rstd", at))}·${factor(get("grad_xhat", at))}`, value: (at) => get("rstd", at) * get("grad_xhat", at),
      words: (at) => `Directly: xhat grows with x at the rate ${equals("rstd", at)}.`};
    if (!training) {
      rec.stage("backward", "grad_input", `${symbol("grad_input")} = [[direct|${symbol("rstd")} · ${symbol("grad_xhat")}]]`);
      each("grad_input", [direct]);
      return;
    }
    rec.stage("backward", "shift", `${symbol("shift")} = Σ{n,w} [[shift|${symbol("grad_xhat")}]] [[count|/ ${M}]]`,
      "what a shift of the whole channel would do: nothing may remain of it");
    over("shift", "shift", true, (at) => factor(get("grad_xhat", at)), (at) => get("grad_xhat", at), ["grad_xhat"],
      (at) => `${equals("grad_xhat", at)} is added.`);
    rec.stage("backward", "stretch", `${symbol("stretch")} = Σ{n,w} [[stretch|${symbol("grad_xhat")} · ${symbol("xhat")}]] [[count|/ ${M}]]`,
      "what a stretch of the whole channel would do: it is taken away too");
    over("stretch", "stretch", true, (at) => `${num(get("grad_xhat", at))}·${factor(get("xhat", at))}`,
      (at) => get("grad_xhat", at) * get("xhat", at), ["grad_xhat", "xhat"],
      (at) => `${equals("grad_xhat", at)} times ${equals("xhat", at)} is added.`);
    rec.stage("backward", "grad_input", `${symbol("grad_input")} = [[direct|${symbol("rstd")} · ${symbol("grad_xhat")}]] `
      + `− [[by_mean|${symbol("rstd")} · ${symbol("shift")}]] − [[by_var|${symbol("rstd")} · ${symbol("stretch")} · ${symbol("xhat")}]]`,
    "directly, through mean, through var");
    each("grad_input", [
      direct,
      {key: "by_mean", line: "paths", join: " − ", names: ["rstd", "shift"],
        text: (at) => `${num(get("rstd", at))}·${factor(get("shift", at))}`, value: (at) => -get("rstd", at) * get("shift", at),
        words: (at) => `Through mean: x moves the mean, which moves every xhat of the channel. ${equals("shift", at)} is what that does on average.`},
      {key: "by_var", line: "paths", join: " − ", names: ["rstd", "stretch", "xhat"],
        text: (at) => `${num(get("rstd", at))}·${factor(get("stretch", at))}·${factor(get("xhat", at))}`,
        value: (at) => -get("rstd", at) * get("stretch", at) * get("xhat", at),
        words: (at) => `Through var: x moves var the more, the greater its ${equals("xhat", at)}.`},
    ]);
  },
};
